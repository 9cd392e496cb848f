'use strict';
// Ground of every page: reading the blocks of data, making elements, colours, numbers for people, and what is chosen.
// Text becomes text nodes and nothing else, so that no name of a file or label can be taken for markup.

const byId = (id) => document.getElementById(id);

/** The JSON in a block, or null where the page has no such block. */
function block(id) {
  const element = byId(`data-${id}`);
  return element ? JSON.parse(element.textContent) : null;
}

/** An element: `h('p', {class: 'note'}, 'text', otherElement)`. */
function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'style') Object.assign(element.style, value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) element.append(child);
  }
  return element;
}

// Rows of packed numbers and pictures come after the script, so that the page is there before all of the file has been read.

/** Blocks of the end of the page that are there, and what waits for others. */
const there = new Set();
const awaited = new Map();
/** Called by the page after each such block. */
function arrived(id) {
  there.add(id);
  for (const use of awaited.get(id) || []) use();
  awaited.delete(id);
}
/** Calls `use` as soon as a block is there. */
function whenThere(id, use) {
  if (there.has(id)) use();
  else awaited.set(id, [...(awaited.get(id) || []), use]);
}
const textOf = (id) => byId(`data-${id}`).textContent;
document.addEventListener('DOMContentLoaded', () => {
  if (awaited.size) byId('main').prepend(h('ul', { class: 'warnings', 'aria-label': 'warnings' }, h('li', {}, 'The end of this file is missing, so some drawings stay empty. Copy or make the report again.')));
});

const ARRAYS = { u8: Uint8Array, i16: Int16Array, u16: Uint16Array, u32: Uint32Array, f32: Float32Array };
function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Packed rows of a block; a row is decoded when it is asked for, which has to wait until the block is there. */
class Rows {
  constructor(id) {
    this.id = id;
    this.layout = block(`${id}-layout`) || { row_bytes: 0, n_rows: 0, fields: {} };
    this.kept = new Map();
  }
  get isThere() {
    return there.has(this.id);
  }
  row(k) {
    if (this.kept.has(k)) return this.kept.get(k);
    this.text = this.text || textOf(this.id);
    const chars = (this.layout.row_bytes / 3) * 4;
    const bytes = bytesOf(this.text.substr(k * chars, chars));
    const row = {};
    for (const [name, [type, offset, count]] of Object.entries(this.layout.fields)) {
      const size = ARRAYS[type].BYTES_PER_ELEMENT * count;
      row[name] = new ARRAYS[type](bytes.buffer.slice(offset, offset + size));
    }
    if (this.kept.size > 400) this.kept.clear();
    this.kept.set(k, row);
    return row;
  }
}

/** A picture of the page, which is loaded when it is asked for; `seen` is called when it can be drawn. */
function pictureOf(id, seen) {
  const image = new Image();
  image.onload = seen;
  whenThere(id, () => { image.src = `data:image/png;base64,${textOf(id)}`; });
  return image;
}

// Numbers ------------------------------------------------------------------------------------------------------------

// Making a formatter takes far longer than using one.
const formatters = new Map();
function format(value, least, most) {
  const key = least * 10 + most;
  if (!formatters.has(key)) formatters.set(key, new Intl.NumberFormat('en-US', { minimumFractionDigits: least, maximumFractionDigits: most }));
  return formatters.get(key).format(value);
}
/** A number with about `digits` digits that count, thousands divided; a dash for what is not defined. */
function number(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (Number.isInteger(value)) return format(value, 0, 0);
  const size = Math.abs(value);
  if (size >= 1e7 || (size < 1e-4 && size > 0)) return value.toExponential(2);
  const places = Math.max(0, Math.min(6, digits - 1 - Math.floor(Math.log10(size || 1))));
  return format(value, Math.min(places, 2), places);
}
function fixed(value, places) {
  return value === null || value === undefined || !Number.isFinite(value) ? '–' : value.toFixed(places);
}
function duration(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 120) return `${number(seconds)} s`;
  if (seconds < 7200) return `${number(seconds / 60)} min`;
  return `${number(seconds / 3600)} h`;
}
function bytes(n) {
  if (!n) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const k = Math.min(4, Math.floor(Math.log10(n) / 3));
  return `${number(n / 1000 ** k)} ${units[k]}`;
}
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/** Smallest and largest of a list; `[0, 1]` for an empty one. */
function extent(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

// Colours ------------------------------------------------------------------------------------------------------------

/** A colour of the style sheet; asking for it is slow. */
const inks = new Map();
function ink(name) {
  if (!inks.has(name)) inks.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return inks.get(name);
}
/** A colour of the style sheet as red, green, blue. */
const inkColour = (name) => [1, 3, 5].map((at) => parseInt(ink(name).slice(at, at + 2), 16));
const rgb = (colour) => `rgb(${colour.join(',')})`;
const isDark = () => document.documentElement.dataset.theme === 'dark';

// From what is near the paper to what stands out on it, in even steps of lightness, for those who see colours differently as well.
const RAMP_ON_LIGHT = [[203, 215, 226], [146, 190, 208], [78, 154, 180], [33, 111, 150], [36, 69, 126], [61, 34, 103], [124, 18, 82]];
const RAMP_ON_DARK = [[62, 46, 128], [58, 84, 160], [41, 122, 165], [34, 160, 152], [78, 194, 118], [164, 218, 66], [250, 234, 72]];

/** The colour of a share from 0 to 1, as red, green, blue. */
function rampColour(share, onDark = isDark()) {
  const ramp = onDark ? RAMP_ON_DARK : RAMP_ON_LIGHT;
  const at = clamp(Number.isFinite(share) ? share : 0, 0, 1) * (ramp.length - 1);
  const k = Math.min(ramp.length - 2, Math.floor(at));
  return ramp[k].map((from, c) => Math.round(from + (ramp[k + 1][c] - from) * (at - k)));
}
const ramp = (share, onDark) => rgb(rampColour(share, onDark));
function rampBar(onDark) {
  const stops = [0, .17, .33, .5, .67, .83, 1].map((share) => `${ramp(share, onDark)} ${share * 100}%`);
  return h('span', { class: 'ramp', style: { background: `linear-gradient(90deg, ${stops.join(',')})` } });
}
/** Hue in degrees, saturation and lightness from 0 to 1, as red, green, blue. */
function fromHue(hue, saturation, lightness) {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}
/** Colours come again after so many, so that drawings of thousands have few of them to change between. */
const N_OWN_COLOURS = 89;
const ownHue = (k) => ((k % N_OWN_COLOURS) * 137.508 + 205) % 360;
/** A colour of its own for each number, as red, green, blue; neighbours are far apart. */
function ownRgb(k) {
  const hue = ownHue(k);
  return isDark() ? fromHue(hue, .68, .66) : fromHue(hue, .62, .42);
}
const ownColour = (k) => rgb(ownRgb(k));

// What is chosen -----------------------------------------------------------------------------------------------------

const listeners = new Map();
/** Calls `listener` from now on; gives a function that ends it. */
function on(event, listener) {
  if (!listeners.has(event)) listeners.set(event, new Set());
  listeners.get(event).add(listener);
  return () => listeners.get(event).delete(listener);
}
function tell(event, value) {
  for (const listener of listeners.get(event) || []) listener(value);
}
/** The unit or cell that is shown. */
const chosen = { id: null };
function choose(id) {
  if (id === chosen.id || id === null || id === undefined) return;
  chosen.id = id;
  try {
    history.replaceState(null, '', `#${id}`);
  } catch { /* Some places where a page is shown do not let it change its address. */ }
  tell('chosen', id);
}

// Theme --------------------------------------------------------------------------------------------------------------

const systemIsDark = window.matchMedia('(prefers-color-scheme: dark)');
let wish = null;
try {
  wish = localStorage.getItem('somata-theme');
} catch { /* A page from a disk may have no storage. */ }
function applyTheme(theme, told = theme) {
  document.documentElement.dataset.theme = theme;
  inks.clear();
  tell('theme', told);
}
function toggleTheme() {
  wish = isDark() ? 'light' : 'dark';
  try {
    localStorage.setItem('somata-theme', wish);
  } catch { /* As above. */ }
  applyTheme(wish);
}
document.documentElement.dataset.theme = wish || (systemIsDark.matches ? 'dark' : 'light');
systemIsDark.addEventListener('change', () => wish || applyTheme(systemIsDark.matches ? 'dark' : 'light'));
// Paper is white, and as narrow as A4 upright: drawings are made again at that width.
let beforePrint = null;
window.addEventListener('beforeprint', () => {
  beforePrint = document.documentElement.dataset.theme;
  document.documentElement.dataset.printing = '';
  applyTheme('light', 'print');
  tell('print', true);
});
window.addEventListener('afterprint', () => {
  delete document.documentElement.dataset.printing;
  tell('print', false);
  applyTheme(beforePrint || 'light');
});
