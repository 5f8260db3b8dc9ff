// Reads one room as lines of JSON, and comes back where it stopped.
//
// It is a plain reader, and not a WebSocket: see docs/decisions/live-page.md.

import { ask, pathOf, Refused } from "./server.js";

/** Where a tail begins: so many messages back. */
const BEFORE = 100;

/** Lines that wait to be shown. Of those that come faster, the newest are kept. */
export const MOST = 1000;

/** Milliseconds without a byte after which a connection is dead: the server beats every 15 s. */
const SILENCE = 45_000;

/** Milliseconds before another try: between these, so that not all tabs come back at once. */
const RETRY = [1000, 4000];

/** The statuses below 500 that ask to come later. */
const LATER = [408, 425, 429];

/** What is not for people: a beat, and how the line begins that says where the stream does. */
const BEAT = "{}";
const BEGINNING = '{"first"';

export class Stream {
  #room = null;
  #position = null;
  #stop = new AbortController();

  /** Call `hear` with lines, and with how many were left out; and `tell` with how it goes, for people to read. */
  constructor(hear, tell) {
    this.hear = hear;
    this.tell = tell;
    // A browser has six connections to a server, for all its tabs. One that nobody sees needs none.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#stop.abort() : this.#begin()));
  }

  /** Read another room. */
  read(room) {
    this.#room = room;
    this.#position = null;
    this.#begin();
  }

  /** Read nothing more. */
  stop() {
    this.#room = null;
    this.#stop.abort();
  }

  #begin() {
    this.#stop.abort();
    this.#stop = new AbortController();
    if (this.#room !== null) this.#run(this.#room, this.#stop.signal);
  }

  async #run(room, stop) {
    while (!stop.aborted) {
      try {
        this.tell("connecting", "Connecting…");
        const isOver = await this.#readOnce(room, stop);
        if (isOver) return;
      } catch (error) {
        if (stop.aborted) return;
        if (error instanceof Refused && error.status < 500 && !LATER.includes(error.status)) {
          this.tell("refused", error.message);
          return;
        }
      }
      if (stop.aborted) return;
      this.tell("lost", "The connection is lost. Coming back…");
      const [least, most] = RETRY;
      await new Promise((resolve) => setTimeout(resolve, least + (most - least) * Math.random()));
    }
  }

  /** Read until the stream ends; whether it is over for good. */
  async #readOnce(room, stop) {
    const since = encodeURIComponent(this.#position ?? BEFORE);
    const answer = await ask(`${pathOf(room)}/json?beat=1&since=${since}`, { signal: stop });
    this.tell("live", "Live");
    const decoder = new TextDecoder();
    const reader = answer.body.getReader();
    let rest = "";
    for (;;) {
      const silence = setTimeout(() => reader.cancel(), SILENCE);
      const { done, value } = await reader.read().finally(() => clearTimeout(silence));
      if (stop.aborted || done) return stop.aborted;
      const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = lines.pop();
      const end = this.#take(lines.filter((line) => line !== BEAT));
      if (end && !end.retry) {
        this.tell("over", `The stream has ended: ${end.reason}`);
        return true;
      }
    }
  }

  /** Hand on whole lines; the end of the stream, if it is among them. */
  #take(lines) {
    if (!lines.length) return null;
    const last = JSON.parse(lines.at(-1));
    const end = "end" in last ? last : null;
    const before = end && lines.length > 1 ? JSON.parse(lines.at(-2)) : last;
    this.#position = before.position ?? before.first ?? this.#position;
    // Where the stream begins is for nobody to read. That may come behind the line that says that messages are missing.
    const heard = lines.filter((line) => !line.startsWith(BEGINNING));
    if (heard.length) this.hear(heard.slice(-MOST), Math.max(0, heard.length - MOST));
    return end;
  }
}
