// The columns of the two tables.

import { make, setText } from "./dom.js";
import { bytes, count, duration, rate, UNKNOWN } from "./format.js";
import { drawGraph, newGraph } from "./graph.js";
import { Table } from "./table.js";

/** The rooms; `pick` is called with the one that is chosen, and `now` says up to when graphs are drawn. */
export function roomsTable(box, pick, now) {
  const columns = [
    { name: "Room", width: 10, value: ({ name }) => name, text: ({ name }) => name },
    { name: "Readers", width: 5.5, isNumber: true, value: ({ readers }) => readers, text: ({ readers }) => count(readers) },
    {
      name: "Messages/s",
      width: 7,
      isNumber: true,
      value: ({ perSecond }) => perSecond.messages,
      text: ({ perSecond }) => rate(perSecond.messages),
    },
    {
      name: "Bytes/s",
      width: 6.5,
      isNumber: true,
      value: ({ perSecond }) => perSecond.bytes,
      text: ({ perSecond }) => bytes(perSecond.bytes),
    },
    {
      name: "Lately",
      title: "Messages a second over the last minutes, 5 at most. Sorting goes by the last minute.",
      width: 8,
      isNumber: true,
      value: (room) => room.rate.messages,
      draw: (cell, room) => drawRoom(cell, room, now()),
    },
    { name: "Messages", width: 6.5, isNumber: true, value: (room) => room.messages, text: (room) => count(room.messages) },
    {
      name: "In memory",
      title: "Bytes of messages that are in memory",
      width: 6.5,
      isNumber: true,
      value: ({ retained }) => retained.bytes,
      text: ({ retained }) => bytes(retained.bytes),
    },
  ];
  return new Table(box, columns, {
    keyOf: ({ name }) => name,
    label: "Rooms",
    sortedBy: "Room",
    empty: "No room has this in its name.",
    pick,
  });
}

function drawRoom(cell, room, now) {
  if (!cell.firstChild) cell.append(newGraph());
  const words = (most) => `last minute ${rate(room.rate.messages)} a second, at most ${rate(most)}`;
  drawGraph(cell.firstChild, room.history, "messages", now, words);
}

/** The connections. */
export function connectionsTable(box) {
  const columns = [
    { name: "Client", width: 12, value: ({ name }) => name, draw: drawName },
    { name: "Via", width: 4, value: ({ via }) => via, text: ({ via }) => via },
    {
      name: "Lag",
      title: "Messages that it has not taken yet",
      width: 6,
      isNumber: true,
      value: ({ lag }) => lag.messages,
      text: ({ lag }) => count(lag.messages),
    },
    {
      name: "Lag, bytes",
      width: 6.5,
      isNumber: true,
      value: ({ lag }) => lag.bytes,
      text: ({ lag }) => bytes(lag.bytes),
    },
    {
      name: "Hears/s",
      title: "Messages a second that it takes",
      width: 6,
      isNumber: true,
      value: ({ hears }) => hears,
      text: ({ hears }) => rate(hears),
    },
    {
      name: "Says/s",
      title: "Bytes a second that it sends",
      width: 6,
      isNumber: true,
      value: ({ says }) => says,
      text: ({ says }) => bytes(says),
    },
    { name: "Room", width: 9, value: ({ room }) => room, text: roomsOf },
    { name: "Role", width: 5, value: ({ role }) => role, text: ({ role }) => role },
    { name: "Key", width: 7, value: ({ key }) => key, text: ({ key }) => key ?? UNKNOWN },
    { name: "Age", width: 6, isNumber: true, value: ({ age }) => age, text: ({ age }) => duration(age) },
  ];
  return new Table(box, columns, {
    keyOf: ({ id }) => id,
    label: "Connections",
    sortedBy: "Lag",
    empty: "No such connection.",
  });
}

const roomsOf = ({ room, rooms }) => (rooms > 1 ? `${room} and ${count(rooms - 1)} more` : room);

function drawName(cell, { name, muted }) {
  if (!cell.firstChild) cell.append(make("span"), make("em", { textContent: "muted", title: "It speaks and takes nothing" }));
  setText(cell.firstChild, name);
  cell.title = name;
  cell.lastChild.hidden = !muted;
}
