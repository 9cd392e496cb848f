// Outlines of cells, from their pixels.

/** Images are dark in both themes, so colours on them are bright ones. */
const ownColourOnDark = (k) => `hsl(${((k * 137.508 + 205) % 360).toFixed(0)} 85% 62%)`;

/** The edge of pixels given row by row (`y, x, n`): a path along the pixels' borders. */
function outlineOf(runs) {
  const path = new Path2D();
  const rows = new Map();
  for (let k = 0; k < runs.length; k += 3) {
    const [y, x, n] = [runs[k], runs[k + 1], runs[k + 2]];
    if (!rows.has(y)) rows.set(y, []);
    rows.get(y).push([x, x + n]);
    path.moveTo(x, y);
    path.lineTo(x, y + 1);
    path.moveTo(x + n, y);
    path.lineTo(x + n, y + 1);
  }
  // Along a border between two rows, what only one of them has is an edge.
  const borders = new Set([...rows.keys()].flatMap((y) => [y, y + 1]));
  for (const y of borders) {
    const ends = [...(rows.get(y - 1) || []), ...(rows.get(y) || [])].flat().sort((a, b) => a - b);
    const has = (list, x) => list.some(([from, to]) => x >= from && x < to);
    for (let k = 0; k + 1 < ends.length; k++) {
      if (ends[k] === ends[k + 1]) continue;
      if (has(rows.get(y - 1) || [], ends[k]) !== has(rows.get(y) || [], ends[k])) {
        path.moveTo(ends[k], y);
        path.lineTo(ends[k + 1], y);
      }
    }
  }
  return path;
}
