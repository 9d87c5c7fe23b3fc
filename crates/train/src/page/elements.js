'use strict';

/** An element with attributes and children; text is never markup. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    // A style that a policy without inline styles allows.
    if (key === 'style') element.style.cssText = value;
    else if (key === 'on') for (const [event, heard] of Object.entries(value)) element.addEventListener(event, heard);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(name, attributes = {}, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const short = (value) => value === null || value === undefined ? '–'
  : Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 0.001) ? value.toExponential(1)
  : String(Number(value.toPrecision(4)));

/** Writes the numbers of a column with equally many digits after the point. */
function aligned(values) {
  const numbers = values.filter((value) => Number.isFinite(value) && value !== 0).map(Math.abs);
  const most = Math.max(...numbers, 0);
  const isWhole = values.every((value) => !Number.isFinite(value) || Number.isInteger(value));
  const write = isWhole ? String
    : most < 0.01 || most >= 100000 ? (value) => value.toExponential(2)
    : (value) => value.toFixed(most < 10 ? 4 : most < 100 ? 3 : 2);
  return (value) => Number.isFinite(value) ? write(value) : '–';
}
