// Tables of any length: only the rows in view are elements. Columns sort, one line filters.

const ROW_PX = 28;

/**
 * What a filter says: words that must be in a row, and comparisons as `snr>5`, `label=good`, `n_spikes<=1000`.
 * Returns `{test(row)}` or `{error}`.
 */
function parseFilter(text, columns) {
  const tests = [];
  for (const term of text.trim().split(/\s+/).filter(Boolean)) {
    const match = /^([\w.]+)(<=|>=|!=|<|>|=)(.*)$/.exec(term);
    if (!match) {
      const word = term.toLowerCase();
      tests.push((row) => columns.some((c) => String(c.value(row) ?? '').toLowerCase().includes(word)));
      continue;
    }
    const [, name, operator, wanted] = match;
    const column = columns.find((c) => c.key === name) || columns.find((c) => c.title.toLowerCase() === name.toLowerCase());
    if (!column) return { error: `there is no column ${name}` };
    if (wanted === '') return { error: `${name}${operator} … what?` };
    const asNumber = Number(wanted);
    if (operator === '=' || operator === '!=') {
      const same = (value) => (column.text ? String(value ?? '').toLowerCase() === wanted.toLowerCase() : value === asNumber);
      tests.push((row) => same(column.value(row)) === (operator === '='));
    } else if (Number.isNaN(asNumber)) {
      return { error: `${wanted} is not a number` };
    } else {
      const compare = { '<': (v) => v < asNumber, '<=': (v) => v <= asNumber, '>': (v) => v > asNumber, '>=': (v) => v >= asNumber }[operator];
      tests.push((row) => {
        const value = column.value(row);
        return value !== null && value !== undefined && Number.isFinite(value) && compare(value);
      });
    }
  }
  return { test: (row) => tests.every((test) => test(row)) };
}

/**
 * A table. Columns: `{key, title, about, text, value(row), show(row)}`; `show` gives text or an element. Options: `id(row)`,
 * `height` (px), `sort` (key), `descending`, `noun`, `chosen(id)` for a click, `presets` (`[[name, filter], …]`).
 */
class Table {
  constructor(parent, columns, rows, options) {
    Object.assign(this, { columns, rows, options });
    this.scrolled = 0;
    this.sort = { key: options.sort || columns[0].key, descending: Boolean(options.descending) };
    this.filter = h('input', {
      class: 'filter', type: 'search', placeholder: options.example || 'filter', 'aria-label': `filter ${options.noun}`,
      oninput: () => this.apply(),
    });
    this.count = h('span', { class: 'right', 'aria-live': 'polite' });
    const presets = (options.presets || []).map(([name, filter]) => h('button', {
      type: 'button', onclick: () => { this.filter.value = filter; this.apply(); },
    }, name));
    parent.append(h('div', { class: 'tools' }, this.filter, presets, this.count));
    this.heads = columns.map((column) => h('th', {
      scope: 'col', class: column.text ? 'text' : null, title: column.about || null, tabindex: 0,
      onclick: () => this.sortBy(column.key),
      onkeydown: (event) => { if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); this.sortBy(column.key); } },
    }, column.title, h('span', { class: 'arrow' })));
    this.body = h('tbody');
    this.box = h('div', {
      class: 'table', tabindex: 0, role: 'group', 'aria-label': `table of ${options.noun}${options.chosen ? '; arrow keys go through it' : ''}`, style: { maxHeight: `${options.height}px` },
      onscroll: () => { this.scrolled = this.box.scrollTop; this.render(); }, onkeydown: (event) => this.key(event),
    }, h('table', { 'aria-rowcount': rows.length }, h('thead', {}, h('tr', {}, this.heads)), this.body));
    parent.append(this.box);
    on('chosen', () => this.reveal());
    on('print', (printing) => { this.printing = printing; this.render(true); });
    this.apply();
  }

  sortBy(key) {
    const column = this.columns.find((c) => c.key === key);
    // Numbers are asked for from the largest on.
    this.sort = { key, descending: this.sort.key === key ? !this.sort.descending : !column.text };
    this.apply();
  }

  apply() {
    const parsed = parseFilter(this.filter.value, this.columns);
    this.filter.classList.toggle('bad', Boolean(parsed.error));
    const column = this.columns.find((c) => c.key === this.sort.key);
    const direction = this.sort.descending ? -1 : 1;
    const missing = (value) => value === null || value === undefined || Number.isNaN(value);
    this.shown = parsed.error ? this.shown || this.rows : this.rows.filter(parsed.test);
    this.shown = [...this.shown].sort((a, b) => {
      const [x, y] = [column.value(a), column.value(b)];
      // What is not defined is last, whichever way.
      if (missing(x) || missing(y)) return missing(x) - missing(y);
      return direction * (column.text ? String(x).localeCompare(String(y)) : x - y);
    });
    this.heads.forEach((head, k) => {
      const sorted = this.columns[k].key === this.sort.key;
      head.setAttribute('aria-sort', sorted ? (this.sort.descending ? 'descending' : 'ascending') : 'none');
      head.lastChild.textContent = sorted ? (this.sort.descending ? ' ↓' : ' ↑') : '';
    });
    const { noun } = this.options;
    this.count.textContent = parsed.error || (this.shown.length === this.rows.length
      ? `${number(this.rows.length)} ${noun}` : `${number(this.shown.length)} of ${number(this.rows.length)} ${noun}`);
    tell(`filtered-${noun}`, this.shown);
    this.render(true);
  }

  /** Makes elements of the rows in view. */
  render(always = false) {
    const view = this.options.height / ROW_PX;
    let first = Math.max(0, Math.floor(this.scrolled / ROW_PX) - 8);
    first -= first % 4;
    let end = Math.min(this.shown.length, first + Math.ceil(view) + 20);
    if (this.printing) [first, end] = [0, Math.min(this.shown.length, 120)];
    if (!always && first === this.first && end === this.end) return;
    Object.assign(this, { first, end });
    const pad = (n) => h('tr', { class: 'pad' }, h('td', { colspan: this.columns.length, style: { height: `${this.printing ? 0 : n * ROW_PX}px` } }));
    const rows = this.shown.slice(first, end).map((row, k) => {
      const id = this.options.id(row);
      return h('tr', {
        'data-id': id, 'aria-rowindex': first + k + 1, 'aria-selected': this.options.chosen && id === chosen.id ? 'true' : 'false',
        onclick: () => this.options.chosen && this.options.chosen(id),
      }, this.columns.map((column) => h('td', { class: column.text ? 'text' : null }, column.show ? column.show(row) : column.text ? String(column.value(row) ?? '') : number(column.value(row)))));
    });
    this.body.replaceChildren(pad(first), ...rows, pad(this.shown.length - end));
  }

  /** Brings the chosen row into view, and marks it. */
  reveal() {
    if (!this.options.chosen) return;
    const at = this.shown.findIndex((row) => this.options.id(row) === chosen.id);
    const top = at * ROW_PX;
    const view = this.options.height - 2 * ROW_PX;
    if (at >= 0 && (top < this.scrolled || top > this.scrolled + view)) {
      // Whole rows, so that none is cut off below the heads.
      this.scrolled = clamp(Math.round((top - view / 2) / ROW_PX) * ROW_PX, 0, Math.max(0, this.shown.length * ROW_PX - view));
      this.render();
      this.box.scrollTop = this.scrolled;
    }
    for (const row of this.body.children) {
      if (row.dataset.id !== undefined) row.setAttribute('aria-selected', row.dataset.id === String(chosen.id) ? 'true' : 'false');
    }
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.options.height / ROW_PX) - 2);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[event.key];
    if (!step || !this.options.chosen || event.target !== this.box) return;
    event.preventDefault();
    const at = this.shown.findIndex((row) => this.options.id(row) === chosen.id);
    const next = this.shown[clamp(at + step, 0, this.shown.length - 1)];
    if (next) this.options.chosen(this.options.id(next));
  }
}
