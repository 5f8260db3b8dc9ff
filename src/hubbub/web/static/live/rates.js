// What has changed between two looks: the rates of rooms and connections, and the last minutes of each room.

/** Seconds that graphs show. */
export const SPAN = 300;

/** The server as it was seen last. */
export class Seen {
  rooms = [];
  connections = [];
  total = { messages: null, bytes: null, history: [] };
  #rooms = new Map();
  #connections = new Map();
  #at = 0;

  /** Seconds that the server has run. */
  get at() {
    return this.#at;
  }

  /** Take what a look has found. */
  take(look) {
    if (look.uptime < this.#at) {
      // Another server: it counts from zero.
      this.#rooms.clear();
      this.#connections.clear();
      this.total.history = [];
    }
    this.#at = look.uptime;
    for (const [name, room] of look.rooms) addRates(room, this.#rooms.get(name));
    for (const [id, one] of look.connections) addSpeeds(one, this.#connections.get(id));
    this.#rooms = look.rooms;
    this.#connections = look.connections;
    this.rooms = [...look.rooms.values()];
    this.connections = [...look.connections.values()];
    const known = this.rooms.filter((room) => room.perSecond.messages !== null);
    for (const unit of ["messages", "bytes"]) {
      this.total[unit] = known.length ? known.reduce((sum, room) => sum + room.perSecond[unit], 0) : null;
    }
    if (known.length) remember(this.total.history, look.uptime, this.total);
  }
}

/** How much is said in a room now: since the last look, or at first what the server says of the last minute. */
function addRates(room, before) {
  // A room that went and came back counts from zero. It may have come further than before, but not in the same term.
  const isSame = before?.messages <= room.messages && termOf(before) === termOf(room) && before.at < room.at;
  const seconds = isSame ? room.at - before.at : null;
  const since = (unit) => (isSame ? (room[unit] - before[unit]) / seconds : room.rate[unit]);
  room.perSecond = { messages: since("messages"), bytes: since("bytes") };
  room.history = before?.history ?? [];
  remember(room.history, room.at, room.perSecond);
}

const termOf = ({ position }) => position.split(":")[0];

/** How much a connection hears and says. In other rooms than before, its places are not comparable. */
function addSpeeds(one, before) {
  const isSame = before !== undefined && before.at < one.at;
  const seconds = isSame ? one.at - before.at : null;
  const isComparable = isSame && before.rooms === one.rooms && before.heard <= one.heard;
  one.hears = isComparable ? (one.heard - before.heard) / seconds : null;
  one.says = isSame ? (one.said - before.said) / seconds : null;
}

function remember(history, at, { messages, bytes }) {
  history.push({ at, messages, bytes });
  // One point from before the span, where the line comes from.
  while (history.length > 1 && history[1].at < at - SPAN) history.shift();
}
