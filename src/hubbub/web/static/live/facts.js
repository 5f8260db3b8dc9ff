// What else there is to know of the server: where it listens, and its store.

import { byId, make } from "./dom.js";
import { bytes, count, duration } from "./format.js";

let shown = "";

/** Show what a look says of the server as a whole. */
export function showFacts({ figures, urls, uptime }) {
  const facts = [
    ["Runs for", [duration(uptime)]],
    ["Listens at", urls],
    ["Accepted", [count(figures.accepted)]],
    ["Muted", [count(figures.muted)]],
    ["Slowed down", [count(figures.slowed)]],
    ["Store", figures.store ? storeFacts(figures.store) : ["none: messages are kept in memory alone"]],
  ];
  if (shown === (shown = JSON.stringify(facts))) return;
  byId("server").replaceChildren(
    ...facts.flatMap(([name, values]) => [
      make("dt", { textContent: name }),
      make("dd", {}, ...values.map((value) => make("span", { textContent: value }))),
    ]),
  );
}

const storeFacts = ({ size, pending, commit_p50, commit_p99 }) => [
  `${bytes(size)} on the disk, ${bytes(pending)} wait for it`,
  `a commit takes ${milliseconds(commit_p50)}, and 99 % of them at most ${milliseconds(commit_p99)}`,
];

const milliseconds = (seconds) => `${(seconds * 1000).toFixed(1)} ms`;
