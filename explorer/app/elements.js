// Elements of the page, created in code. All styles are in style.css: the page's policy allows no others.

/**
 * Make an element.
 * @param {string} tag of the element.
 * @param {Object<string, unknown>} [properties] `on` maps events to listeners, `data` is the dataset; names with a hyphen and
 *   `role`, `for`, `class` are attributes, all others properties.
 * @param {...(Node | string)} children what it holds.
 * @returns {HTMLElement}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else if (name.includes("-") || name === "role" || name === "for" || name === "class") {
      element.setAttribute(name, value);
    } else {
      element[name] = value;
    }
  }
  element.append(...children);
  return element;
}

let made = 0;

/** Return an id that no other element has. */
export function freshId(name) {
  made += 1;
  return `${name}-${made}`;
}

/** Return a control with a label before it. */
export function labelled(text, control) {
  control.id ||= freshId("control");
  return make("span", { class: "field" }, make("label", { for: control.id }, text), control);
}

/** Return a select of (value, text) pairs. */
export function choice(pairs, chosen, listener) {
  const options = pairs.map(([value, text]) => make("option", { value, selected: value === chosen }, text));
  return make("select", { on: { change: (event) => listener(event.target.value) } }, ...options);
}

/** Return a button. */
export function button(text, listener, properties = {}) {
  return make("button", { type: "button", on: { click: listener }, ...properties }, text);
}
