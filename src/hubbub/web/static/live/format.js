// Figures as people read them.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** What stands for a figure that nobody knows. */
export const UNKNOWN = "–";

/** A whole number. */
export const count = (number) => WHOLE.format(number);

/** So many of something: "1 room", "2 rooms". */
export const many = (number, what) => `${count(number)} ${what}${number === 1 ? "" : "s"}`;

/** How often something happens in a second. */
export function rate(number) {
  if (number === null) return UNKNOWN;
  if (number === 0) return "0";
  return number < 0.05 ? "< 0.1" : (number < 99.95 ? TENTHS : WHOLE).format(number);
}

/** A size. */
export function bytes(number) {
  if (number === null) return UNKNOWN;
  let unit = 0;
  for (; number >= 1023.5 && unit < UNITS.length - 1; unit += 1) number /= 1024;
  return `${(unit && number < 99.95 ? TENTHS : WHOLE).format(number)} ${UNITS[unit]}`;
}

/** How long something has lasted, in seconds. */
export function duration(seconds) {
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ];
  const first = parts.findIndex(([number]) => number > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([number], place) => place === 0 || number > 0)
    .map((part) => part.join(" "))
    .join(" ");
}

/** The time of the day. */
export function clock(time) {
  const date = new Date(time);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A text whose control characters are to be seen: ESC is ␛. */
export const visible = (text) =>
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, (one) =>
    one === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + one.charCodeAt(0)),
  );
