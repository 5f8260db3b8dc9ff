// The page: it asks for the key where one is needed, and shows each look at the server.

import { showCommands } from "./commands.js";
import { byId, setText } from "./dom.js";
import { showEndings } from "./endings.js";
import { showFacts } from "./facts.js";
import { bytes, count, duration, many, rate } from "./format.js";
import { drawGraph } from "./graph.js";
import { Looks } from "./looks.js";
import { Publish } from "./publish.js";
import { Seen } from "./rates.js";
import { hasKey, Refused, setKey } from "./server.js";
import { connectionsTable, roomsTable } from "./tables.js";
import { Tail } from "./tail.js";

const seen = new Seen();
const tail = new Tail();
const publish = new Publish();
const rooms = roomsTable(byId("rooms"), choose, () => seen.at);
const connections = connectionsTable(byId("connections"));
let last = null;
let chosen = null;

setText(byId("place"), location.host);
document.title = `hubbub at ${location.host}`;

const looks = new Looks(see, fail);

function see(look, pause) {
  seen.take(look);
  last = look;
  enter("watch");
  state("live", "Live", `every ${duration(pause / 1000)}`);
  byId("trouble").hidden = look.trouble === null;
  setText(byId("trouble"), look.trouble ?? "");
  if (chosen === null) choose(named() || (look.rooms.get("root") ?? seen.rooms[0]).name);
  show();
}

function fail(error) {
  if (!(error instanceof Refused)) {
    state("lost", "The server does not answer. Trying again…");
    return;
  }
  if (error.status === 401 || (error.status === 403 && hasKey())) {
    const wasUsed = hasKey();
    setKey("");
    enter("ask-key");
    state("waiting", "A key is needed");
    if (wasUsed) setText(byId("key-answer"), `Refused: ${error.message}`);
  } else if (error.status === 403) {
    setText(byId("not-here-words"), error.message);
    enter("not-here");
    state("waiting", "Not shown here");
  } else {
    state("lost", `The server answers ${error.status}: ${error.message}`);
  }
}

/** Show one of the three faces of the page. */
function enter(name) {
  const isNew = byId(name).hidden;
  for (const id of ["watch", "ask-key", "not-here"]) byId(id).hidden = id !== name;
  if (isNew && name === "ask-key") byId("key").focus();
  byId("forget").hidden = !(name === "watch" && hasKey());
  if (name !== "watch" && chosen !== null) {
    chosen = null;
    tail.stop();
  }
}

/** Say how it goes. A screen reader reads the words aloud when they change, and not the pace. */
function state(kind, words, pace = "") {
  byId("state").dataset.kind = kind;
  setText(byId("state"), words);
  setText(byId("pace"), pace);
}

/** The room that the address of the page names behind its #. */
function named() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

/** Show this room beside the list. */
function choose(name) {
  chosen = name;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  rooms.choose(name);
  setText(byId("room-title"), name);
  tail.read(name);
  publish.offer(name);
  showCommands(name, last.places, hasKey());
}

/** Show what was seen last. */
function show() {
  const { total } = seen;
  setText(byId("messages-rate"), rate(total.messages));
  setText(byId("bytes-rate"), bytes(total.bytes));
  for (const [unit, words] of [["messages", rate], ["bytes", bytes]]) {
    const say = (most) => `${unit} a second over the last minutes: now ${words(total[unit])}, at most ${words(most)}`;
    drawGraph(byId(`${unit}-graph`), total.history, unit, seen.at, say);
  }
  setText(byId("connections-count"), count(seen.connections.length) + (last.isCut ? "+" : ""));
  setText(byId("connections-note"), `${many(last.figures.clients, "client")}, ${count(last.figures.accepted)} accepted so far`);
  const behind = seen.connections.filter((one) => one.lag.messages > 0);
  const most = behind.reduce((most, one) => Math.max(most, one.lag.bytes), 0);
  setText(byId("behind-count"), count(behind.length));
  setText(byId("behind-note"), behind.length ? `the furthest by ${bytes(most)}` : "every reader has all messages");
  showTable(rooms, seen.rooms, "rooms-find", "rooms-count", ({ name }) => name);
  showTable(connections, seen.connections, "connections-find", "found-count", ({ name, room, key, via }) =>
    `${name} ${room} ${key ?? ""} ${via}`,
  );
  showEndings(last.figures.endings);
  showFacts(last);
}

/** Show the rows that have the text of a box, and how many these are. */
function showTable(table, rows, box, counter, text) {
  const wanted = byId(box).value.toLowerCase();
  const found = wanted ? rows.filter((row) => text(row).toLowerCase().includes(wanted)) : rows;
  setText(byId(counter), wanted ? `${count(found.length)} of ${count(rows.length)}` : count(rows.length));
  table.show(found);
}

for (const id of ["rooms-find", "connections-find"]) byId(id).addEventListener("input", () => last && show());

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setText(byId("key-answer"), "");
  setKey(byId("key").value);
  byId("key").value = "";
  looks.now();
});

byId("forget").addEventListener("click", () => {
  setKey("");
  setText(byId("key-answer"), "");
  looks.now();
});

addEventListener("hashchange", () => last && named() && choose(named()));

byId("try-again").addEventListener("click", () => looks.now());
