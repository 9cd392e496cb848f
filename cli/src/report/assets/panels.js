// What all pages have: head, sections, facts, switches, times of stages, how the result was made.

const main = byId('main');
main.replaceChildren();
const sections = [];

/** A section with a title; `short` is its name at the top of the page. */
function section(id, title, short, note) {
  const element = h('section', { id, 'aria-label': title }, h('h2', {}, title), note ? h('p', { class: 'note' }, note) : null);
  main.append(element);
  sections.push([id, short]);
  return element;
}
function card(parent, title, ...children) {
  const element = h('div', { class: 'card' }, title ? h('h3', {}, title) : null, ...children);
  parent.append(element);
  return element;
}
function grid(parent, kind) {
  const element = h('div', { class: `grid ${kind}` });
  parent.append(element);
  return element;
}

/** The bar at the top, once all sections are there. */
function pageHead(subject) {
  const mark = h('canvas', { width: 60, height: 44, 'aria-hidden': 'true' });
  const paint = () => {
    const c = mark.getContext('2d');
    c.clearRect(0, 0, 60, 44);
    c.strokeStyle = ink('accent');
    c.lineWidth = 4;
    c.lineJoin = c.lineCap = 'round';
    c.beginPath();
    // A spike: rest, trough, return.
    [[3, 18], [17, 18], [22, 12], [29, 40], [37, 5], [44, 16], [57, 18]].forEach(([x, y], k) => (k ? c.lineTo(x, y) : c.moveTo(x, y)));
    c.stroke();
  };
  on('theme', paint);
  paint();
  byId('top').append(
    h('span', { class: 'brand' }, mark, 'somata'),
    h('span', { class: 'subject', title: subject }, subject),
    h('nav', { 'aria-label': 'sections' }, sections.map(([id, short]) => h('a', { href: `#${id}` }, short))),
    h('button', { class: 'theme', type: 'button', title: 'light or dark', 'aria-label': 'light or dark', onclick: toggleTheme }, '◐'),
  );
}

function facts(parent, list) {
  parent.append(h('div', { class: 'cards' }, list.filter(Boolean).map(([value, name, more]) => h('div', { class: 'fact' },
    h('div', { class: 'value' }, value), h('div', { class: 'name' }, name), more ? h('div', { class: 'more' }, more) : null))));
}

function warningList(parent, warnings) {
  if (warnings && warnings.length) parent.append(h('ul', { class: 'warnings', 'aria-label': 'warnings' }, warnings.map((text) => h('li', {}, text))));
}

/** Buttons of which one is pressed; `choices` is `[[value, name], …]`. Its `press(value)` shows another as pressed. */
function switchOf(choices, value, label, change) {
  const buttons = choices.map(([own, name]) => h('button', {
    type: 'button', 'aria-pressed': own === value ? 'true' : 'false', 'data-value': own,
    onclick: () => { element.press(own); change(own); },
  }, name));
  const element = h('span', { class: 'switch', role: 'group', 'aria-label': label }, buttons);
  element.press = (wanted) => buttons.forEach((button) => button.setAttribute('aria-pressed', button.dataset.value === String(wanted) ? 'true' : 'false'));
  return element;
}
function checkOf(name, value, change) {
  return h('label', {}, h('input', { type: 'checkbox', checked: value, onchange: (event) => change(event.currentTarget.checked) }), name);
}

/** A domain with some room at both ends. */
const padded = ([low, high]) => (high > low ? [low - (high - low) * .05, high + (high - low) * .05] : [low - .5, low + .5]);
/** A colour of a legend. */
const swatch = (colour, name) => h('span', {}, h('i', { style: { background: `var(--${colour})` } }), name);
/** Shades where a neuron cannot fire again. */
function refractory(plot, from, to) {
  plot.context.fillStyle = ink('poor-soft');
  plot.context.fillRect(plot.X(from), plot.area.top, plot.X(to) - plot.X(from), plot.area.height);
}

/** Whether a value lies in a range `[least, most]` of which either may be missing. */
function within(value, [least, most]) {
  return (least === null || value >= least) && (most === null || value <= most);
}
/** `good`, `fair`, `poor`, or null where there is no range. */
function verdict(value, guide) {
  if (!guide || value === null || value === undefined || (guide.good[0] === null && guide.good[1] === null)) return null;
  return within(value, guide.good) ? 'good' : within(value, guide.fair) ? 'fair' : 'poor';
}
function rangeText([least, most]) {
  if (least !== null && most !== null) return `${tickText(least)} to ${tickText(most)}`;
  if (least !== null) return `≥ ${tickText(least)}`;
  return most !== null ? `≤ ${tickText(most)}` : '';
}

/** How the values of a column are spread. */
function histogram(values, n = 30, domain = null) {
  const finite = values.filter((v) => v !== null && v !== undefined && Number.isFinite(v));
  let [low, high] = domain || extent(finite);
  // All the same: what cannot be negative begins at 0.
  if (!(high > low)) [low, high] = low === 0 ? [0, 1] : low > 0 ? [low / 2, low * 1.5] : [low * 1.5, low / 2];
  const edges = Array.from({ length: n + 1 }, (_, k) => low + ((high - low) * k) / n);
  const counts = new Array(n).fill(0);
  for (const value of finite) counts[clamp(Math.floor(((value - low) / (high - low)) * n), 0, n - 1)]++;
  return { edges, counts };
}
function histogramPlot(parent, label, values, options = {}) {
  const { edges, counts } = histogram(values, options.bins, options.domain);
  return new Plot(parent, {
    height: options.height || 150, label,
    x: { domain: [edges[0], edges[edges.length - 1]], label: options.x ?? label },
    y: { domain: [0, Math.max(1, ...counts) * 1.06] },
    draw: (plot) => {
      plot.bars(edges, counts, ink('bar'));
      for (const line of options.lines || []) plot.upright(line, ink('mark'), [4, 3]);
    },
    hover: (plot, x) => {
      const k = clamp(Math.floor(((x - edges[0]) / (edges[edges.length - 1] - edges[0])) * counts.length), 0, counts.length - 1);
      return `${number(edges[k])} to ${number(edges[k + 1])}: ${counts[k]}`;
    },
  });
}

/** Time of each stage, and how the result was made. */
function provenance(manifest) {
  const part = section('made', 'How it was made', 'Run', null);
  const both = grid(part, 'two');
  const stages = manifest.stages || [];
  const most = Math.max(1e-9, ...stages.map((s) => s.seconds));
  const left = card(both, 'Time of each stage');
  new Plot(left, {
    height: Math.max(60, stages.length * 24 + 30), label: 'seconds of each stage', margin: { left: 130 },
    x: { domain: [0, most * 1.02], label: 's' },
    y: { domain: [0, Math.max(1, stages.length)], flip: true, ticks: stages.map((_, k) => k + .5), text: (k) => stages[Math.floor(k)].stage, noGrid: true },
    draw: (plot) => stages.forEach((stage, k) => {
      plot.context.fillStyle = stage.resumed ? ink('faint') : ink('bar');
      plot.context.fillRect(plot.X(0), plot.Y(k + .18), Math.max(1, plot.X(stage.seconds) - plot.X(0)), plot.Y(k + .82) - plot.Y(k + .18));
      plot.context.fillStyle = ink('ink');
      plot.context.textAlign = stage.seconds > most * .8 ? 'right' : 'left';
      plot.context.textBaseline = 'middle';
      plot.context.fillText(stage.resumed ? 'from an earlier run' : `${number(stage.seconds)} s`, plot.X(stage.seconds) + (stage.seconds > most * .8 ? -6 : 6), plot.Y(k + .5));
    }),
  });
  const kernels = [...(manifest.kernels || [])].sort((a, b) => b.seconds - a.seconds).slice(0, 8);
  if (kernels.length) {
    left.append(h('p', { class: 'small' }, `Largest kernels, seconds over all threads: ${kernels.map((k) => `${k.kernel} ${number(k.seconds, 2)}`).join(', ')}.`));
  }
  const right = card(both, 'Run');
  const rows = [
    ['version', manifest.somata],
    ['finished', manifest.finished ? new Date(manifest.finished * 1000).toLocaleString() : null],
    ['took', duration(manifest.seconds)],
    ['device', manifest.device],
    ['largest memory', bytes(manifest.peak_memory_bytes)],
    ['key', manifest.key],
    ...(manifest.inputs || []).slice(0, 20).map((input) => ['input', `${input.path} (${bytes(input.bytes)})`]),
    (manifest.inputs || []).length > 20 ? ['', `and ${manifest.inputs.length - 20} more`] : null,
  ].filter((row) => row && row[1]);
  right.append(h('dl', { class: 'facts' }, rows.map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)])));
  right.append(h('details', {}, h('summary', {}, 'Command'), h('pre', {}, (manifest.command || []).map((word) => (/^[\w./=:,+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(' '))));
  right.append(h('details', {}, h('summary', {}, 'Parameters'), h('pre', {}, JSON.stringify(manifest.parameters, null, 2))));
  main.append(h('footer', {}, `Made by somata ${manifest.somata}. This file is complete: it needs no network and no other file.`));
}

/** Chooses what the address names, else `fallback`. */
function chooseFirst(exists, fallback) {
  const named = () => {
    const wanted = /^#(\d+)$/.exec(location.hash);
    return wanted && exists(Number(wanted[1])) ? Number(wanted[1]) : null;
  };
  choose(named() ?? fallback);
  window.addEventListener('hashchange', () => choose(named()));
  // A task after the next frame: what is in view has been painted.
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => performance.mark('somata-usable'))));
}
