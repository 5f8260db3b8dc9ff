// How connections have ended, by code.

import { byId, make, setText } from "./dom.js";
import { count, many } from "./format.js";

/** What each code means, in the words of the reference. */
const MEANINGS = {
  left: "the client closed the connection",
  lost: "the connection broke",
  finished: "the handler returned, or the requests were answered",
  closed: "the app closed it",
  failed: "the handler raised an exception",
  slow: "the client was further behind than is kept",
  stalled: "the client took nothing for too long",
  undeliverable: "a message cannot be written for the client",
  "too-long": "a message was over the limit",
  malformed: "what came is not a message",
  "wrong-protocol": "the client spoke HTTP or TLS to a place for text",
  incomplete: "the stream ended within a message",
  unfinished: "a message took too long",
  idle: "the client said nothing for too long",
  shutdown: "the server closed",
  probe: "it ended without a word",
  full: "the server had as many clients as it may",
  crowded: "the address had as many clients as it may",
  hasty: "the address connected too often",
  denied: "the place does not admit the address",
  overloaded: "the process had no descriptor left",
  "bad-proxy": "a trusted proxy sent no valid header",
  "bad-tls": "the TLS handshake failed",
  unauthenticated: "the client had no valid key",
  late: "what the place asks for did not come in time",
};

/** Codes that people should look at. */
const BAD = new Set(["failed", "slow", "stalled", "undeliverable", "overloaded"]);

let shown = "";

/** Show how many connections have ended with each code. */
export function showEndings(endings) {
  const found = Object.entries(endings).filter(([, number]) => number > 0);
  found.sort(([, one], [, other]) => other - one);
  const total = found.reduce((sum, [, number]) => sum + number, 0);
  setText(byId("endings-count"), total ? many(total, "connection") : "");
  if (shown === (shown = JSON.stringify(found))) return;
  const rows = found.flatMap(([code, number]) => {
    const bar = make("span", { className: "share" });
    bar.style.width = `${(100 * number) / found[0][1]}%`;
    const name = make("dt", { className: BAD.has(code) ? "bad" : "", textContent: code });
    return [name, make("dd", {}, make("b", {}, count(number)), bar, make("span", {}, MEANINGS[code] ?? ""))];
  });
  byId("endings").replaceChildren(...rows);
  byId("endings-none").hidden = rows.length > 0;
}
