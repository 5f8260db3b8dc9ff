// A client of HTTP without a browser: what it hears is written as lines, and what it reads as lines is said.
//
//   node web_client.js fetch URL             what a request is answered with, as it comes
//   node web_client.js ws URL [SUBPROTOCOL]  frames, as JSON: whether they are binary, and their text; its end at last
"use strict";

const readline = require("node:readline");

const [how, url, protocol] = process.argv.slice(2);
const write = (...fields) => process.stdout.write(`${JSON.stringify(fields)}\n`);

async function read() {
  const answer = await fetch(url);
  for await (const piece of answer.body) process.stdout.write(piece);
}

function speak() {
  // Debian's packages are there (node-ws).
  module.paths.push("/usr/share/nodejs");
  const { WebSocket } = require("ws");
  const socket = new WebSocket(url, protocol ? [protocol] : []);
  socket.on("open", () => {
    write("open", socket.protocol);
    readline.createInterface({ input: process.stdin }).on("line", (line) => socket.send(line));
  });
  socket.on("message", (data, isBinary) => write(isBinary, data.toString()));
  socket.on("close", (code, reason) => {
    write("close", code, reason.toString());
    process.exit();
  });
}

({ fetch: read, ws: speak })[how]();
