// The broadcast server of the ws library's own documentation: each message goes to all others, one send for each.
// Compression is off, as it is by default.
//
//   node node_ws.js PORT
"use strict";

// Debian's packages are there (node-ws).
module.paths.push("/usr/share/nodejs");
const { WebSocket, WebSocketServer } = require("ws");

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]), backlog: 4096 });

server.on("connection", (socket) => {
  // A reset is no more than a leave.
  socket.on("error", () => {});
  socket.on("message", (data, isBinary) => {
    for (const client of server.clients) {
      if (client !== socket && client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});
