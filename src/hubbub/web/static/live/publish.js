// The box to publish.

import { byId, setText } from "./dom.js";
import { many } from "./format.js";
import { ask, pathOf } from "./server.js";

export class Publish {
  #room = null;

  constructor() {
    byId("publish").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send(byId("message"));
    });
  }

  /** Publish in this room from now on, if the server takes messages over HTTP at all. */
  async offer(room) {
    this.#room = room;
    setText(byId("publish-answer"), "");
    let allowed = "";
    try {
      allowed = (await ask(pathOf(room), { method: "OPTIONS" })).headers.get("Allow") ?? "";
    } catch {
      // The state of the page says that the server is gone.
    }
    if (room !== this.#room || !allowed) return;
    byId("publish").hidden = !allowed.includes("POST");
    byId("publish-not").hidden = allowed.includes("POST");
  }

  async #send(box) {
    const answer = byId("publish-answer");
    const text = box.value;
    answer.dataset.kind = "waiting";
    setText(answer, "Publishing…");
    try {
      const { messages, position } = await (await ask(pathOf(this.#room), { method: "POST", body: text })).json();
      answer.dataset.kind = "good";
      setText(answer, `Published ${many(messages, "message")}, up to position ${position}`);
      // What was written meanwhile stays.
      if (box.value === text) box.value = "";
    } catch (error) {
      answer.dataset.kind = "bad";
      setText(answer, error.status ? `Not published: ${error.message}` : "Not published: the server does not answer");
    }
  }
}
