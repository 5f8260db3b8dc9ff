// A table of any number of rows. Only those that are seen are in the document: some thirty.
//
// Rows have one height, so that it is known which of them are seen. Two empty bodies of the table, before and behind,
// stand for all others, and have their height.

import { make, setText } from "./dom.js";
import { UNKNOWN } from "./format.js";

/** The height of a row, in pixels. */
const ROW = 34;

/** Rows above and below what is seen, so that scrolling finds them there. */
const MORE = 6;

/**
 * What a column is: its `name`; `width`, in em; `value`, by which rows are sorted; `text`, what its cells show, or
 * `draw`, which fills them; `isNumber`, whether it is aligned right, and its largest values come first.
 */
export class Table {
  #rows = [];
  #sorted = [];
  #drawn = [];
  #planned = false;
  // Noted when they change: to ask for them while drawing would have the browser lay out the page once more.
  #top = 0;
  #height = 0;
  #by;
  #isDown;

  /** Make a table in a box that scrolls: with these columns, where `keyOf` names a row, sorted by one of them. */
  constructor(box, columns, { keyOf, label, sortedBy, empty, pick = null }) {
    this.box = box;
    this.columns = columns;
    this.keyOf = keyOf;
    this.pick = pick;
    this.picked = null;
    this.heads = columns.map((column) => this.#head(column));
    this.before = make("td", { colSpan: columns.length });
    this.behind = make("td", { colSpan: columns.length });
    this.body = make("tbody");
    this.empty = make("p", { className: "empty", textContent: empty });
    this.table = make(
      "table",
      {},
      make("caption", { className: "unseen", textContent: label }),
      make("colgroup", {}, ...columns.map(({ width }) => this.#column(width))),
      make("thead", {}, make("tr", {}, ...this.heads)),
      make("tbody", { className: "space", ariaHidden: "true" }, make("tr", {}, this.before)),
      this.body,
      make("tbody", { className: "space", ariaHidden: "true" }, make("tr", {}, this.behind)),
    );
    box.append(this.table, this.empty);
    // A box that scrolls is reached by the keyboard.
    Object.assign(box, { tabIndex: 0, role: "region", ariaLabel: label });
    box.style.setProperty("--row", `${ROW}px`);
    const scrolled = () => {
      this.#top = box.scrollTop;
      this.#plan();
    };
    box.addEventListener("scroll", scrolled, { passive: true });
    const resized = ([{ contentRect }]) => {
      this.#height = contentRect.height;
      this.#plan();
    };
    new ResizeObserver(resized).observe(box);
    const column = columns.find(({ name }) => name === sortedBy);
    this.#sort(column, Boolean(column.isNumber));
  }

  /** Show these rows. */
  show(rows) {
    this.#rows = rows;
    this.#order();
  }

  /** Mark this row as the one that is chosen. */
  choose(key) {
    this.picked = key;
    this.#plan();
  }

  #column(width) {
    const column = make("col");
    column.style.width = `${width}em`;
    return column;
  }

  #head(column) {
    const button = make("button", { type: "button", textContent: column.name, title: column.title ?? "" });
    button.addEventListener("click", () => {
      const isSame = this.#by === column;
      this.#sort(column, isSame ? !this.#isDown : Boolean(column.isNumber));
    });
    return make("th", { scope: "col", className: column.isNumber ? "number" : "" }, button);
  }

  #sort(column, isDown) {
    this.#by = column;
    this.#isDown = isDown;
    for (const [number, head] of this.heads.entries()) {
      head.ariaSort = this.columns[number] === column ? (isDown ? "descending" : "ascending") : "none";
    }
    this.#order();
  }

  #order() {
    const { value, isNumber } = this.#by;
    const sign = this.#isDown ? -1 : 1;
    // What nobody knows is less than everything. Rows that are equal stay in the order in which they came.
    const compare = isNumber
      ? (one, other) => sign * ((value(one) ?? -1) - (value(other) ?? -1))
      : (one, other) => sign * NAMES.compare(value(one) ?? "", value(other) ?? "");
    this.#sorted = this.#rows.toSorted(compare);
    this.table.ariaRowCount = String(this.#sorted.length + 1);
    this.empty.hidden = this.#sorted.length > 0;
    this.#plan();
  }

  /** Draw with the next frame. */
  #plan() {
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => {
      this.#planned = false;
      this.#draw();
    });
  }

  #draw() {
    const rows = this.#sorted;
    const seen = Math.ceil(this.#height / ROW);
    const last = Math.max(0, rows.length - seen);
    const first = Math.max(0, Math.min(last, Math.floor(this.#top / ROW)) - MORE);
    const slice = rows.slice(first, first + seen + 2 * MORE);
    const focused = this.body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.key : null;
    while (this.#drawn.length > slice.length) this.#drawn.pop().row.remove();
    while (this.#drawn.length < slice.length) this.#drawn.push(this.#newRow());
    for (const [number, row] of slice.entries()) this.#fill(this.#drawn[number], row, first + number);
    this.before.style.height = `${first * ROW}px`;
    this.behind.style.height = `${Math.max(0, rows.length - first - slice.length) * ROW}px`;
    if (focused !== null) this.#focusAgain(focused);
  }

  /** The row that had the focus may stand elsewhere now. */
  #focusAgain(key) {
    const row = this.#drawn.find((drawn) => drawn.row.dataset.key === key)?.row;
    const target = row ? row.querySelector("button") : this.box;
    if (target !== document.activeElement) target.focus({ preventScroll: true });
  }

  #newRow() {
    const cells = this.columns.map((column, number) =>
      make(number ? "td" : "th", { className: column.isNumber ? "number" : "" }),
    );
    const row = make("tr", {}, ...cells);
    cells[0].scope = "row";
    let label = cells[0];
    if (this.pick) {
      label = make("button", { type: "button", className: "pick" });
      cells[0].append(label);
      row.addEventListener("click", () => this.pick(row.dataset.key));
    }
    this.body.append(row);
    return { row, cells, label };
  }

  #fill({ row, cells, label }, data, place) {
    row.dataset.key = this.keyOf(data);
    row.ariaRowIndex = String(place + 2);
    if (this.pick) {
      const isPicked = row.dataset.key === this.picked;
      row.classList.toggle("picked", isPicked);
      label.ariaPressed = String(isPicked);
    }
    for (const [number, column] of this.columns.entries()) {
      const cell = number ? cells[number] : label;
      if (column.draw) {
        column.draw(cell, data);
        continue;
      }
      const text = column.text(data);
      setText(cell, text);
      if (column.isNumber) cell.classList.toggle("nothing", text === "0" || text === "0 B" || text === UNKNOWN);
      else cell.title = text;
    }
  }
}

/** Names in their order, where 9 comes before 10. */
const NAMES = new Intl.Collator("en", { numeric: true });
