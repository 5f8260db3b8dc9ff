/**
 * Reads rooms of hubbub over HTTP without losing its place, and publishes in them. For browsers and Node 18 or newer.
 *
 *   import { subscribe, publish } from "/hubbub.js";
 *   for await (const entry of subscribe("/root", { since: "10m" })) console.log(entry.message ?? "some are missing");
 *   const position = await publish("/root", "hello");
 *
 * A connection may break at any time. The next one begins at the position behind the last entry that was given out, so
 * nothing is left out and nothing comes twice. Where the server has forgotten that position, an entry says so.
 */

/**
 * @typedef {object} Entry A message, or the fact that messages are missing.
 * @property {string} position The place behind it, for `since`.
 * @property {string | Uint8Array} [message] What was said: text, or bytes that are not UTF-8.
 * @property {string} [time] When the server took it (RFC 3339).
 * @property {string} [sender] Who said it.
 * @property {number | null} [missed] Only where messages are missing: how many, or null where nobody can know.
 */

/** Seconds before the second try. Each pause is twice as long as the one before, and shortened at random. */
const FIRST_PAUSE = 1;

/** Seconds of the longest pause. A connection that lasted so long makes the next pause short again. */
const LONGEST_PAUSE = 30;

/** Seconds of the longest pause that a server can ask for with Retry-After. */
const LONGEST_RETRY_AFTER = 3600;

/** Seconds of silence after which a connection is taken for dead. The server says something every 15 s. */
const SILENCE = 45;

/** Characters of the longest line that is taken. */
const LONGEST_LINE = 16 * 1024 * 1024;

/** The type of a stream. */
const STREAM = "application/x-ndjson";

/** The statuses below 500 that ask to come later. */
const LATER = [408, 425, 429];

/**
 * Why a room cannot be read, or a message was not published. `status` is that of the answer, and `end` the code of the
 * ending, where there is one. `unknown` says that the message may have been published all the same.
 */
export class HubbubError extends Error {
  constructor(message, { status, end, unknown = false, cause } = {}) {
    super(message, { cause });
    Object.assign(this, { name: "HubbubError", status, end, unknown });
  }
}

/** The connection has ended, and it makes sense to come back; `after` so many seconds at least. */
class ComeBack extends Error {
  after = 0;
}

/**
 * Read a room. The loop ends when the app closes the room, or when `signal` is aborted; leaving the loop closes the
 * connection. No more is read than the loop takes, so TCP holds the server back.
 *
 * @param {string | URL} url The room, as in "/root"; in Node with its server, as in "http://127.0.0.1:8080/root".
 * @param {object} [options]
 * @param {string | number} [options.since] Where to begin, as in `?since=`: a position, "all", 100, "10m" and so on.
 * @param {string} [options.key] The key, where the server asks for one.
 * @param {AbortSignal} [options.signal] Ends the loop at once.
 * @param {(state: "live" | "waiting", reason?: Error) => void} [options.onState] Is told when the stream has begun, and
 *   when its connection has ended and the next try is awaited.
 * @returns {AsyncGenerator<Entry, void, void>}
 * @throws {HubbubError} The server says that it makes no sense to come back.
 */
export async function* subscribe(url, { since: place, key, signal, onState = () => {} } = {}) {
  // This checks the URL and the key. `fetch` would fail as if the server could not be reached.
  const room = roomAt(url);
  const headers = new Headers(authorization(key));
  let wait = 0;
  let pause = FIRST_PAUSE;
  while (!signal?.aborted) {
    const connection = new AbortController();
    const abort = () => connection.abort();
    signal?.addEventListener("abort", abort);
    let began = Infinity;
    try {
      await sleep(wait, connection.signal);
      began = performance.now();
      const since = place === undefined ? "" : `&since=${encodeURIComponent(place)}`;
      for await (const fields of read(`${room}/json?beat=1${since}`, headers, connection)) {
        place = fields.position ?? fields.first ?? place;
        if (fields.end !== undefined) {
          const words = `${fields.end}: ${fields.reason}`;
          if (fields.retry) throw new ComeBack(words);
          // With these, nothing is wrong.
          if (["finished", "closed"].includes(fields.end)) return;
          throw new HubbubError(words, { end: fields.end });
        } else if (fields.message !== undefined || fields.missed !== undefined) {
          yield entryOf(fields);
        } else if (fields.first !== undefined) {
          onState("live");
        }
        if (signal?.aborted) return;
      }
      throw new ComeBack("the connection has ended");
    } catch (error) {
      if (signal?.aborted) return;
      if (!(error instanceof ComeBack)) throw error;
      if (performance.now() - began >= LONGEST_PAUSE * 1000) pause = FIRST_PAUSE;
      wait = Math.max(error.after, pause * (0.5 + Math.random() / 2));
      pause = Math.min(2 * pause, LONGEST_PAUSE);
      onState("waiting", error);
    } finally {
      // Also when the loop is left at an entry.
      connection.abort();
      signal?.removeEventListener("abort", abort);
    }
  }
}

/**
 * Publish a message in a room; each line of a text is one. This asks once. (Some browsers send a request again by
 * themselves when its connection breaks before the answer.)
 *
 * @param {string | URL} url The room, as for `subscribe`.
 * @param {string | Uint8Array} message Text, or bytes where the framing of the place is binary.
 * @param {object} [options]
 * @param {string} [options.key] The key, where the server asks for one.
 * @param {AbortSignal} [options.signal] Gives up.
 * @returns {Promise<string>} The position behind it.
 * @throws {HubbubError} It was not published. Or that is `unknown`: look into the room before you publish it again.
 */
export async function publish(url, message, { key, signal } = {}) {
  const type = typeof message === "string" ? "text/plain" : "application/octet-stream";
  const headers = { "Content-Type": type, ...authorization(key) };
  const request = new Request(roomAt(url), { method: "POST", body: message, headers, signal });
  try {
    const answer = await fetch(request);
    const text = await answer.text();
    if (answer.ok) return JSON.parse(text).position;
    const { status } = answer;
    throw new HubbubError(text.trim() || `the answer is ${status}`, { status, unknown: status >= 500 });
  } catch (error) {
    if (error instanceof HubbubError) throw error;
    throw new HubbubError("nobody knows whether it was published: there is no answer", { unknown: true, cause: error });
  }
}

/** The objects of a stream, as they come. A connection that breaks is a `ComeBack`. */
async function* read(url, headers, connection) {
  const within = async (promise) => {
    const timer = setTimeout(() => connection.abort(), SILENCE * 1000);
    try {
      return await promise;
    } catch (error) {
      throw new ComeBack(`the connection is lost: ${error.cause?.message ?? error.message}`);
    } finally {
      clearTimeout(timer);
    }
  };
  const answer = await within(fetch(url, { headers, signal: connection.signal, cache: "no-store" }));
  const { status } = answer;
  if (!answer.ok) {
    const words = (await within(answer.text())).trim() || `the answer is ${status}`;
    if (status < 500 && !LATER.includes(status)) throw new HubbubError(words, { status });
    throw Object.assign(new ComeBack(words), { after: secondsIn(answer.headers.get("Retry-After")) });
  }
  const type = answer.headers.get("Content-Type");
  if (!type?.startsWith(STREAM)) throw new HubbubError(`the answer is ${type}, and not ${STREAM}`, { status });
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let begun = "";
  for (;;) {
    const { done, value } = await within(reader.read());
    if (done) return;
    const lines = decoder.decode(value, { stream: true }).split("\n");
    lines[0] = begun + lines[0];
    begun = lines.pop();
    if (begun.length > LONGEST_LINE) throw new HubbubError(`a line is longer than ${LONGEST_LINE} characters`);
    for (const line of lines) yield objectIn(line);
  }
}

function objectIn(line) {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new HubbubError(`a line is no JSON: ${line.slice(0, 100)}`, { cause });
  }
}

/** @returns {Entry} An object of the stream, for its reader. */
function entryOf({ position, first, missed, time, sender, message, base64 }) {
  if (missed !== undefined) return { missed, position: first };
  if (base64) message = Uint8Array.from(atob(message), (character) => character.charCodeAt(0));
  return { message, position, time, sender };
}

/** The URL of a room, whole and without a slash at its end. */
const roomAt = (url) => new Request(url).url.replace(/\/+$/, "");

const authorization = (key) => (key === undefined ? {} : { Authorization: `Bearer ${bytesOf(key)}` });

/** A text as a header has it: each byte of its UTF-8 is a character. */
const bytesOf = (text) => String.fromCharCode(...new TextEncoder().encode(text));

/** The seconds that Retry-After names; 0 where it names none. */
const secondsIn = (text) => (/^\d+$/.test(text ?? "") ? Math.min(Number(text), LONGEST_RETRY_AFTER) : 0);

/** Wait so many seconds, or until the signal is aborted. */
function sleep(seconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => resolve(clearTimeout(timer)));
  });
}
