// Runs the module that a server gives out, as a program of Node does. What happens is written as lines of JSON.
//
//   node hubbub_js.mjs SERVER subscribe URL OPTIONS   the states, the entries, and how it ends
//   node hubbub_js.mjs SERVER publish URL OPTIONS     the position after each line of the input, or the error
//
// OPTIONS are those of the function, as JSON, and two more: with "fast", pauses are written and not made; with
// "stalled", a reader takes one entry and no other before it is told to.
// A reader is told what to do by lines: "go", "abort", "leave" (after the next entry), and "silence": with "fast", it
// believes that nothing has come for SILENCE.
import { createInterface } from "node:readline";

const SILENCE = 45_000;
const [server, how, url, options] = process.argv.slice(2);
const { fast, stalled, ...asked } = JSON.parse(options);
const write = (...fields) => process.stdout.write(`${JSON.stringify(fields)}\n`);
const shadow = fast ? "const setTimeout = (call, time) => globalThis.timer(call, time);" : "";
const source = shadow + (await (await fetch(`${server}/hubbub.js`)).text());

let fallSilent;
globalThis.timer = (call, time) => {
  if (time !== SILENCE) return setTimeout(call, 0, write("pause", time / 1000));
  fallSilent = call;
  return setTimeout(call, time);
};
const { subscribe, publish, HubbubError } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const input = createInterface({ input: process.stdin });

const told = (error) => {
  const { status, end, unknown } = error;
  write("error", error instanceof HubbubError, error.message, { status, end, unknown });
};

async function read() {
  const stop = new AbortController();
  let go = () => {};
  const gone = stalled && new Promise((resolve) => (go = resolve));
  let leaving = false;
  const commands = {
    abort: () => stop.abort(),
    silence: () => fallSilent(),
    go: () => go(),
    leave: () => (leaving = true),
  };
  input.on("line", (line) => {
    commands[line]();
    write("done", line);
  });
  const onState = (state, reason) => write("state", state, reason?.message ?? null);
  for await (const entry of subscribe(url, { ...asked, signal: stop.signal, onState })) {
    const { message } = entry;
    write("entry", message instanceof Uint8Array ? { ...entry, message: [...message] } : entry);
    if (leaving) break;
    await gone;
  }
  write("over");
}

async function speak() {
  for await (const line of input) {
    await publish(url, line, asked).then((position) => write("position", position), told);
  }
}

await ({ subscribe: read, publish: speak })[how]().catch(told);
input.close();
