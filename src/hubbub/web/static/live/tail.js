// The newest messages of a room, as a list.

import { byId, make, setText } from "./dom.js";
import { clock, count, many, visible } from "./format.js";
import { MOST, Stream } from "./stream.js";

/** Messages that are shown. Older ones are kept for the filter. */
const SHOWN = 200;

/** Characters of a message that are shown. */
const LONGEST = 2000;

/** Milliseconds between two drawings. */
const PAUSE = 150;

export class Tail {
  #waiting = [];
  #leftOut = 0;
  #kept = [];
  #isPaused = false;
  #words = "";
  #timer = null;
  #list = byId("tail");

  constructor() {
    this.stream = new Stream(
      (lines, leftOut) => this.#hear(lines, leftOut),
      (kind, words) => this.#tell(kind, words),
    );
    byId("pause").addEventListener("click", () => this.#pause(!this.#isPaused));
    byId("filter").addEventListener("input", (event) => this.#filter(event.target.value));
  }

  /** Show another room. */
  read(room) {
    this.#waiting = [];
    this.#kept = [];
    this.#leftOut = 0;
    this.#list.replaceChildren();
    this.#pause(false);
    this.#list.append(make("li", { className: "note", textContent: "No message yet." }));
    this.stream.read(room);
  }

  /** Show none. */
  stop() {
    this.stream.stop();
  }

  #tell(kind, words) {
    const state = byId("tail-state");
    state.dataset.kind = kind;
    setText(state, kind === "refused" ? "Not to be read" : words);
    if (kind === "refused") this.#list.replaceChildren(row(note(words)));
  }

  /** Keep lines as they came: most of a fast room are never shown, and so never parsed. */
  #hear(lines, leftOut) {
    this.#leftOut += leftOut + Math.max(0, this.#waiting.length + lines.length - MOST);
    this.#waiting = [...this.#waiting, ...lines].slice(-MOST);
    this.#plan();
  }

  #plan() {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      requestAnimationFrame(() => this.#draw());
    }, PAUSE);
  }

  #pause(isPaused) {
    this.#isPaused = isPaused;
    byId("pause").classList.toggle("on", isPaused);
    this.#draw();
  }

  #filter(text) {
    this.#words = text.toLowerCase();
    this.#list.replaceChildren();
    this.#show(this.#kept);
  }

  #admits({ message, sender, isNote }) {
    return isNote || `${sender} ${message}`.toLowerCase().includes(this.#words);
  }

  #draw() {
    setText(byId("pause"), this.#isPaused ? `Go on (${many(this.#waiting.length, "message")})` : "Pause");
    if (this.#isPaused) return;
    const found = this.#waiting.map((line) => read(JSON.parse(line)));
    if (this.#leftOut) found.unshift(note(`${many(this.#leftOut, "message")} came too fast to be shown`));
    this.#waiting = [];
    this.#leftOut = 0;
    if (!found.length) return;
    this.#kept = [...this.#kept, ...found].slice(-MOST);
    if (this.#list.firstChild?.className === "note" && this.#kept.length === found.length) this.#list.replaceChildren();
    this.#show(found);
  }

  /** Add messages to the list, those that the filter admits. */
  #show(messages) {
    this.#list.append(...messages.filter((one) => this.#admits(one)).slice(-SHOWN).map(row));
    while (this.#list.childElementCount > SHOWN) this.#list.firstChild.remove();
    const found = this.#words && this.#kept.filter((one) => this.#admits(one)).length;
    setText(byId("shown"), this.#words ? `${count(found)} of the last ${count(this.#kept.length)}` : "");
  }
}

const note = (message) => ({ isNote: true, message });

/** What a line says, in the words of the list. */
function read(fields) {
  if ("end" in fields) return note(`The stream has ended: ${fields.reason}`);
  if ("missed" in fields) {
    return note(fields.missed === null ? "Messages are missing" : `${many(fields.missed, "message")} missing`);
  }
  return fields;
}

/** An element of the list. */
function row({ isNote, time, sender, message, position, base64 }) {
  if (isNote) return make("li", { className: "note", textContent: message });
  const isLong = message.length > LONGEST;
  const text = visible(isLong ? `${message.slice(0, LONGEST)}…` : message);
  const what = make("span", { className: "message", textContent: text });
  if (base64) what.append(" ", make("em", { textContent: "base64" }));
  if (isLong) what.append(" ", make("em", { textContent: `${count(message.length)} characters` }));
  return make(
    "li",
    { title: position },
    make("time", { dateTime: time, textContent: clock(time) }),
    make("span", { className: "sender", textContent: visible(sender) }),
    what,
  );
}
