// Requests to the server, each with the key where there is one.

const STORED = "hubbub.key";

let key = sessionStorage.getItem(STORED) ?? "";

/** The server has refused a request: the status, and its words. */
export class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

export const hasKey = () => key !== "";

/** Use this key from now on. The tab forgets it when it is closed: other tabs, and the disk, have it never. */
export function setKey(text) {
  key = text.trim();
  if (key) sessionStorage.setItem(STORED, key);
  else sessionStorage.removeItem(STORED);
}

/** The answer to a request. */
export async function ask(path, options = {}) {
  const headers = key ? { Authorization: `Bearer ${bytesOf(key)}` } : {};
  const answer = await fetch(path, { cache: "no-store", ...options, headers });
  if (!answer.ok) throw new Refused(answer.status, (await answer.text()).trim());
  return answer;
}

/** The path of a room. Addresses are relative to the page, which a proxy may have in a folder. */
export const pathOf = (room) => `./${encodeURIComponent(room)}`;

/** A text as a header has it: each byte of its UTF-8 is a character. */
const bytesOf = (text) => String.fromCharCode(...new TextEncoder().encode(text));
