// For each room: what to type elsewhere to read it.

import { byId, make, setText } from "./dom.js";

/** Show the commands for a room. */
export function showCommands(room, places, isKeyed) {
  const kinds = commandsFor({ room, base: new URL(".", location.href), places, isKeyed });
  setText(byId("commands-title"), `Read ${room} elsewhere`);
  const box = byId("commands");
  const before = box.querySelector("details[open]")?.dataset.name;
  const opened = kinds.some(({ name }) => name === before) ? before : kinds[0].name;
  box.replaceChildren(...kinds.map((kind) => details(kind, kind.name === opened)));
}

function details({ name, commands }, isOpen) {
  const inside = commands.flatMap(({ what, text }) => {
    const code = make("pre", { tabIndex: 0, textContent: text });
    const button = make("button", { type: "button", className: "copy", textContent: "Copy" });
    button.ariaLabel = `Copy: ${what}`;
    button.addEventListener("click", () => copy(code, button));
    return make("div", { className: "command" }, make("p", {}, what), button, code);
  });
  const element = make("details", { name: "commands", open: isOpen }, make("summary", { textContent: name }), ...inside);
  element.dataset.name = name;
  return element;
}

/** Without TLS, other machines have no clipboard: then the text is at least selected. */
async function copy(code, button) {
  getSelection().selectAllChildren(code);
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

/** The commands for a room, by the program that they are for. */
export function commandsFor({ room, base, places, isKeyed }) {
  const path = encodeURIComponent(room).replaceAll("'", "%27");
  const url = new URL(`./${path}`, base).href;
  const header = isKeyed ? " -H @boat.header" : "";
  const curl = [
    { what: "The bytes of the messages", text: `curl -N${header} ${quoted(`${url}/raw`)}` },
    { what: "The last 100 messages and all that come, as JSON", text: `curl -N${header} ${quoted(`${url}/json?since=100`)}` },
    { what: "Publish", text: `curl${header} -d 'Hello' ${quoted(url)}` },
  ];
  const before = isKeyed ? [{ what: "The key, once, from a file that has it", text: KEY_HEADER }] : [];
  const kinds = [
    { name: "nc", commands: lines(room, path, base, places, isKeyed) },
    { name: "curl", commands: [...before, ...curl] },
    { name: "JavaScript", commands: [script(url, isKeyed)] },
    { name: "Python", commands: [program(url, isKeyed)] },
  ];
  // Where the room has no place for lines, nc has no way to say a key.
  return kinds.filter(({ commands }) => commands.length);
}

const KEY_HEADER = "(printf 'Authorization: Bearer '; cat boat.secret) > boat.header";

/** Programs that know no HTTP. */
function lines(room, path, base, places, isKeyed) {
  const port = base.port || "80";
  const bare = `echo 'GET ${base.pathname}${path}/raw?since=10' | nc ${plain(base.hostname)} ${port}`;
  const commands = [];
  if (base.protocol === "http:" && !isKeyed) commands.push({ what: "From the last 10 messages on", text: bare });
  for (const place of places) {
    const found = /^(tcp|tls):\/\/(.*):(\d+)$/.exec(place.url);
    if (!found || place.room !== room) continue;
    const [, scheme, host, port] = found;
    const name = ["0.0.0.0", "[::]"].includes(host) ? base.hostname : host;
    const options = (scheme === "tls" ? " --tls" : "") + (isKeyed ? " --secret-file boat.secret" : "");
    const what = `As a client of ${place.url}`;
    const nc = `${isKeyed ? "(cat boat.secret; cat) | " : ""}nc ${plain(name)} ${port}`;
    if (scheme === "tcp") commands.push({ what, text: nc });
    commands.push({ what: scheme === "tcp" ? "The same with hubbub" : what, text: `hubbub connect${options} ${name}:${port}` });
  }
  return commands;
}

/** A host without the brackets of IPv6, as nc wants it. */
const plain = (host) => host.replace(/^\[|\]$/g, "");

function script(url, isKeyed) {
  if (!isKeyed) {
    const text = `const events = new EventSource(${JSON.stringify(`${url}/sse?since=100`)});
events.onmessage = (event) => console.log(event.lastEventId, event.data);
events.addEventListener("missed", (event) => console.warn("missed:", event.data));`;
    return { what: "A page of this server, or one that --allow-origin admits", text };
  }
  const text = `const headers = { Authorization: \`Bearer \${key}\` };
const answer = await fetch(${JSON.stringify(`${url}/json?since=100`)}, { headers });
for await (const bytes of answer.body) console.log(new TextDecoder().decode(bytes));`;
  return { what: "EventSource cannot send a key, and fetch can", text };
}

function program(url, isKeyed) {
  const request = isKeyed
    ? `key = open("boat.secret").read().strip()
request = urllib.request.Request(
    ${JSON.stringify(`${url}/json?since=100`)},
    headers={"Authorization": f"Bearer {key}"},
)`
    : `request = ${JSON.stringify(`${url}/json?since=100`)}`;
  const text = `import json
import urllib.request

${request}
with urllib.request.urlopen(request) as lines:
    for line in lines:
        print(json.loads(line))`;
  return { what: "Each message with its time, sender and position", text };
}

/** A word for a shell. */
const quoted = (text) => (/^[\w./:%+=@-]+$/.test(text) ? text : `'${text}'`);
