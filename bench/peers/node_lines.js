// The chat server of most Node tutorials, made to frame lines: one write for each client and line.
// What a client has not taken yet, Node keeps for it, without a bound; tutorials do not look at what write() returns.
//
//   node node_lines.js PORT relay                each line goes to all others
//   node node_lines.js PORT echo                 each line is answered
//   node node_lines.js PORT relay CERTIFICATE    the same in TLS
"use strict";

const fs = require("node:fs");
const net = require("node:net");
const tls = require("node:tls");

const [port, mode, certificate] = process.argv.slice(2);
const clients = new Set();

function relay(line, sender) {
  for (const client of clients) {
    if (client !== sender) client.write(line);
  }
}

function echo(line, sender) {
  sender.write(`We got your message: ${line.toString().replace(/\r?\n$/, "")}\n`);
}

const handle = { relay, echo }[mode];

function serve(socket) {
  let rest = Buffer.alloc(0);
  socket.setNoDelay(true);
  clients.add(socket);
  socket.on("data", (data) => {
    const received = rest.length ? Buffer.concat([rest, data]) : data;
    let start = 0;
    for (let end; (end = received.indexOf("\n", start) + 1) > 0; start = end) {
      handle(received.subarray(start, end), socket);
    }
    rest = received.subarray(start);
  });
  // A reset is no more than a leave; "close" follows.
  socket.on("error", () => {});
  socket.on("close", () => clients.delete(socket));
}

const identity = certificate && fs.readFileSync(certificate);
const server = identity ? tls.createServer({ cert: identity, key: identity }, serve) : net.createServer(serve);

server.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
