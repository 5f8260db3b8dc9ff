// Looks at the server again and again. Between two looks is so much time that the server hardly notices.

import { ask } from "./server.js";

/** Rooms and connections in one answer: the most that the server gives. */
const PART = 1000;

/** The most parts of one look. */
const PARTS = 100;

/** Milliseconds between two looks, at least and at most. */
const SHORTEST = 2000;
const LONGEST = 60_000;

/** The pause is so many times as long as the answers took: they are 3 % of the server's time at most. */
const PAUSES = 33;

/** How long one answer may take, in milliseconds. */
const PATIENCE = 20_000;

/** All that the server shows. Its parts come one after the other, so that it has other turns between them. */
async function look() {
  const rooms = new Map();
  const connections = new Map();
  let first;
  let part;
  let took = 0;
  for (let number = 0; number < PARTS && (part?.more ?? true); number += 1) {
    const begun = performance.now();
    const answer = await ask(`status?limit=${PART}&offset=${number * PART}`, { signal: AbortSignal.timeout(PATIENCE) });
    const text = await answer.text();
    took += performance.now() - begun;
    part = JSON.parse(text);
    first ??= part;
    // What moves between two parts may be in both.
    for (const room of part.rooms) rooms.set(room.name, { ...room, at: part.uptime });
    for (const connection of part.connections) connections.set(connection.id, { ...connection, at: part.uptime });
  }
  return { ...first, rooms, connections, isCut: part.more, took };
}

/** Call `see` with each look, or `fail` with what went wrong; while the tab is hidden, rest. */
export class Looks {
  #wake = () => {};
  #isWished = false;

  constructor(see, fail) {
    document.addEventListener("visibilitychange", () => this.now());
    this.#run(see, fail);
  }

  /** Look now, or once more as soon as the look is over that is under way: it may have begun too early. */
  now() {
    this.#isWished = true;
    this.#wake();
  }

  async #run(see, fail) {
    // Rates are known with the second look, which so comes soon.
    let longest = SHORTEST;
    for (;;) {
      let pause = SHORTEST;
      this.#isWished = false;
      if (!document.hidden) {
        try {
          const seen = await look();
          pause = Math.min(longest, Math.max(SHORTEST, PAUSES * seen.took));
          longest = LONGEST;
          // Later: to parse the last part and to show all would be much for one frame.
          requestAnimationFrame(() => see(seen, pause));
        } catch (error) {
          fail(error);
        }
      }
      if (this.#isWished) continue;
      await new Promise((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, pause);
      });
    }
  }
}
