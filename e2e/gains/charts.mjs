/** The charts, drawn as SVG and photographed by the browser. */
import { launch } from '../support/browser.mjs';
import { saved } from './summary.mjs';

const INK = '#1d2733';
const DIM = '#65717f';
const LINE = '#e3e7ec';
const FORMER = '#b4bdc8';
const OURS = '#1f7a68';
const MISSED = '#b7791f';
const WIDTH = 1000;
/** Where the keys of the parts are. */
const KEYS = [32, 232, 590];

const escape = (text) => String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const text = (x, y, words, { size = 14, fill = INK, anchor = 'start', weight = 400 } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" fill="${fill}" text-anchor="${anchor}" font-weight="${weight}">${escape(words)}</text>`;
const bar = (x, y, width, height, fill) =>
  `<rect x="${x}" y="${y}" width="${Math.max(1.5, width)}" height="${height}" rx="3" fill="${fill}"/>`;

function frame(height, title, note, body) {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"
    font-family="Geist, Inter, 'Helvetica Neue', 'DejaVu Sans', sans-serif">
    <rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
    ${text(32, 44, title, { size: 22, weight: 600 })}${text(32, 70, note, { fill: DIM })}${body}</svg>`;
}

const legend = (x, y) =>
  [
    [FORMER, 'former path'],
    [OURS, 'ours'],
  ]
    .map(([fill, label], place) => bar(x + place * 130, y - 11, 14, 14, fill) + text(x + place * 130 + 22, y + 1, label, { fill: DIM }))
    .join('');

/** `rows`: { label, former, ours, show, aim } with the aim as a share that is to be saved. */
export function overview(rows, note) {
  const [left, right, each] = [290, 150, 86];
  const span = WIDTH - left - right;
  const parts = rows.map(({ label, former, ours, show, aim }, place) => {
    const y = 120 + place * each;
    const share = former === 0 ? 0 : ours / former;
    const gain = saved(former, ours);
    const isMet = gain >= aim;
    const mark = left + span * (1 - aim);
    const end = left + Math.min(1.15, share) * span;
    // The figure stands behind the bar, and behind the aim's mark where that would go through it.
    const figure = end < mark + 8 && mark < end + 60 ? mark : end;
    const sign = gain >= 0 ? '−' : '+';
    return [
      text(left - 20, y + 31, label, { anchor: 'end', weight: 550, size: 15 }),
      bar(left, y, span, 22, FORMER),
      text(left + 10, y + 16, show(former), { size: 13 }),
      bar(left, y + 28, Math.min(1.15, share) * span, 22, OURS),
      text(figure + 8, y + 44, show(ours), { size: 13 }),
      `<line x1="${mark}" x2="${mark}" y1="${y + 25}" y2="${y + 57}" stroke="${INK}" stroke-width="1.5" stroke-dasharray="3 3"/>`,
      text(WIDTH - 32, y + 30, `${sign}${Math.abs(Math.round(100 * gain))} %`, {
        anchor: 'end',
        size: 24,
        weight: 600,
        fill: isMet ? OURS : MISSED,
      }),
      text(WIDTH - 32, y + 50, `aim −${Math.round(100 * aim)} %`, { anchor: 'end', size: 12, fill: DIM }),
    ].join('');
  });
  const height = 120 + rows.length * each + 30;
  const foot = legend(32, height - 20) + text(320, height - 19, '┆ the aim', { fill: DIM });
  return frame(height, 'One journey, twice through the platform', note, parts.join('') + foot);
}

/** `rows`: { label, former, ours }. */
export function perStep(rows, { title, note, show }) {
  const [left, each] = [300, 34];
  const max = Math.max(1, ...rows.flatMap(({ former, ours }) => [former, ours]));
  const span = WIDTH - left - 110;
  const parts = rows.map(({ label, former, ours }, place) => {
    const y = 104 + place * each;
    const [a, b] = [former, ours].map((value) => (value / max) * span);
    return [
      text(left - 16, y + 17, label, { anchor: 'end', size: 13 }),
      bar(left, y, a, 11, FORMER),
      text(left + Math.max(1.5, a) + 7, y + 10, show(former), { size: 11, fill: DIM }),
      bar(left, y + 13, b, 11, OURS),
      text(left + Math.max(1.5, b) + 7, y + 23, show(ours), { size: 11 }),
    ].join('');
  });
  const height = 104 + rows.length * each + 44;
  const axis = `<line x1="${left - 1}" x2="${left - 1}" y1="98" y2="${height - 48}" stroke="${LINE}" stroke-width="1.5"/>`;
  return frame(height, title, note, axis + parts.join('') + legend(32, height - 18));
}

/** `rows`: { label, parts: [held, whole, made] }. */
export function answered(rows, note) {
  const [left, each] = [300, 34];
  const span = WIDTH - left - 130;
  const fills = ['#1f7a68', '#7cc0ae', '#e0b064'];
  const names = ['held by the browser', 'a whole answer from the server’s cache', 'put together anew'];
  const max = Math.max(...rows.map(({ parts }) => parts.reduce((a, b) => a + b)));
  const drawn = rows.map(({ label, parts }, place) => {
    const y = 104 + place * each;
    let x = left;
    const bars = parts.map((count, kind) => {
      const width = (count / max) * span;
      const drawn = count === 0 ? '' : `<rect x="${x}" y="${y}" width="${Math.max(1.5, width)}" height="22" fill="${fills[kind]}"/>`;
      x += width;
      return drawn;
    });
    return text(left - 16, y + 16, label, { anchor: 'end', size: 13 }) + bars.join('') + text(x + 8, y + 16, parts.join(' · '), { size: 12, fill: DIM });
  });
  const height = 104 + rows.length * each + 48;
  const key = names.map((name, place) => bar(KEYS[place], height - 31, 14, 14, fills[place]) + text(KEYS[place] + 22, height - 19, name, { fill: DIM }));
  return frame(height, 'Who answered what pages wanted', note, drawn.join('') + key.join(''));
}

/** Pictures of SVGs: `{ file: svg }`. */
export async function photograph(pictures) {
  const browser = await launch();
  try {
    const page = await browser.newPage({ deviceScaleFactor: 2 });
    for (const [file, svg] of Object.entries(pictures)) {
      await page.setContent(`<body style="margin:0">${svg}</body>`);
      await page.locator('svg').screenshot({ path: file });
    }
  } finally {
    await browser.close();
  }
}
