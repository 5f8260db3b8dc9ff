// Elements. Text goes into them as text, never as markup.

export const byId = (id) => document.getElementById(id);

/** A new element: its properties, its attributes that have no property, and what is in it. */
export function make(tag, properties = {}, ...inside) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...inside);
  return element;
}

/** Change a text only where it has changed, so that nothing is laid out again for nothing. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
