'use strict';
// The page is whole without this: it adds a cursor over time, hides and shows series, and sorts tables.
(() => {
  const make = (name, className, attributes) => {
    const element = document.createElement(name);
    element.className = className;
    for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
    return element;
  };
  const digits = value => {
    if (value === 0) return '0';
    const decimals = Math.min(4, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value)))));
    return value.toFixed(decimals);
  };

  // What has the colour of a mark in the legend is hidden and shown by it.
  for (const figure of document.querySelectorAll('figure')) {
    for (const mark of figure.querySelectorAll('.legend [data-class]')) {
      const parts = figure.querySelectorAll('svg .' + CSS.escape(mark.dataset.class));
      if (parts.length === 0) continue;
      const button = make('button', 'toggle', { type: 'button', 'aria-pressed': 'true' });
      button.append(...mark.childNodes);
      button.addEventListener('click', () => {
        const shown = button.getAttribute('aria-pressed') !== 'true';
        button.setAttribute('aria-pressed', String(shown));
        for (const part of parts) part.style.display = shown ? '' : 'none';
      });
      mark.append(button);
    }
  }

  // A line over all panels of a timeline, which the pointer and the arrow keys move.
  for (const figure of document.querySelectorAll('figure[data-cursor]')) {
    const data = JSON.parse(figure.dataset.cursor);
    const last = data.at.length - 1;
    if (0 > last) continue;
    const plot = figure.querySelector('.plot');
    const said = make('p', 'readout', {});
    const cursor = make('div', 'cursor', {
      role: 'slider', tabindex: '0', 'aria-label': 'Moment of the trial', 'aria-valuemin': '0', 'aria-valuemax': String(last),
    });
    plot.append(cursor);
    plot.after(said);
    const end = window => window === last ? data.end : data.at[window + 1];
    let here = 0;
    const show = window => {
      here = Math.min(last, Math.max(0, window));
      const middle = (data.at[here] + end(here)) / 2;
      cursor.style.left = (data.from + (data.to - data.from) * middle / data.end) / data.width * 100 + '%';
      const values = data.lines.map(([name, all]) => name + ' ' + digits(all[here] / 1e6) + ' ms');
      const text = 'at ' + digits(data.at[here] / 1e9) + ' s: ' + values.join(', ');
      said.textContent = text;
      cursor.setAttribute('aria-valuenow', String(here));
      cursor.setAttribute('aria-valuetext', text);
    };
    const point = event => {
      const box = plot.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * data.width;
      const at = (x - data.from) / (data.to - data.from) * data.end;
      const after = data.at.findIndex(begins => begins > at);
      show(after === -1 ? last : after - 1);
    };
    plot.addEventListener('pointermove', point);
    plot.addEventListener('pointerdown', point);
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10, Home: -last, End: last };
    cursor.addEventListener('keydown', event => {
      const step = steps[event.key];
      if (step === undefined) return;
      event.preventDefault();
      show(here + step);
    });
    // It begins at the worst window.
    const longest = data.lines.find(([name]) => name === 'longest')[1];
    show(longest.indexOf(Math.max(...longest)));
  }

  // A click on a column's head sorts by it: falling, rising, and as it was.
  const value = cell => {
    const figure = cell.querySelector('data');
    if (figure) return Number(figure.value);
    const text = cell.textContent.trim();
    return text.startsWith('n/a') ? null : text;
  };
  const compare = (a, b) => {
    if (typeof a === 'number' && typeof b === 'number') return a - b;
    return String(a).localeCompare(String(b), 'en', { numeric: true });
  };
  for (const table of document.querySelectorAll('main table')) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    if (2 > rows.length) continue;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = make('button', 'sort', { type: 'button' });
      button.append(...head.childNodes);
      button.insertBefore(make('span', 'arrow', { 'aria-hidden': 'true' }), button.querySelector('.unit'));
      head.append(button);
      button.addEventListener('click', () => {
        const was = head.getAttribute('aria-sort');
        for (const other of heads) other.removeAttribute('aria-sort');
        const next = was === 'descending' ? 'ascending' : was === 'ascending' ? null : 'descending';
        const sorted = [...rows];
        if (next) {
          head.setAttribute('aria-sort', next);
          const sign = next === 'ascending' ? 1 : -1;
          const keyed = sorted.map(row => [value(row.cells[column]), row]);
          // What is absent stands last either way.
          keyed.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b));
          body.append(...keyed.map(([, row]) => row));
        } else {
          body.append(...sorted);
        }
      });
    });
  }

  // Only what can be scrolled is a stop for the keyboard.
  const stops = () => {
    for (const box of document.querySelectorAll('.scroll')) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
      else box.removeAttribute('tabindex');
    }
  };
  stops();
  addEventListener('resize', stops);
  document.addEventListener('toggle', stops, true);

  // On paper nothing can be opened.
  let closed = [];
  addEventListener('beforeprint', () => {
    closed = [...document.querySelectorAll('details:not([open])')];
    for (const details of closed) details.open = true;
  });
  addEventListener('afterprint', () => {
    for (const details of closed) details.open = false;
  });
})();
