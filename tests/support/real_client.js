// A client as one writes it in Node: what is typed goes to the server, what arrives is printed.
"use strict";

const net = require("node:net");

const [host, port] = process.argv.slice(2);

const socket = net.connect({ host, port: Number(port), allowHalfOpen: true });
socket.setNoDelay(true);
socket.pipe(process.stdout);
// The end of the input ends only this side's stream.
process.stdin.pipe(socket);
socket.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
// What is still to come from the input has nowhere to go.
socket.on("end", () => process.stdin.destroy());
