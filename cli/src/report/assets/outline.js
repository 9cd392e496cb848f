// Outlines of cells, from their pixels.

/** Images are dark in both themes, so colours on them are bright ones. */
const ownColourOnDark = (k) => rgb(fromHue(ownHue(k), .85, .62));

/** Adds the edge of pixels given row by row (`y, x, n`) to a path, along the pixels' borders. */
function addOutline(path, runs) {
  /** Ends of the runs of the row above the one that is read. */
  let above = [], own = [], y = runs[0];
  /** Along a border between two rows, what only one of them has is an edge: it begins or ends at every end of a run of either. */
  const close = () => {
    const ends = [...above, ...own].sort((a, b) => a - b);
    for (let k = 0; k + 1 < ends.length; k += 2) {
      if (ends[k] === ends[k + 1]) continue;
      path.moveTo(ends[k], y);
      path.lineTo(ends[k + 1], y);
    }
    [above, own] = [own, []];
    y++;
  };
  for (let k = 0; k < runs.length; k += 3) {
    const [row, x, n] = [runs[k], runs[k + 1], runs[k + 2]];
    if (row > y) close();
    // A row that has none closes the one above it.
    if (row > y) { close(); y = row; }
    own.push(x, x + n);
    path.moveTo(x, row);
    path.lineTo(x, row + 1);
    path.moveTo(x + n, row);
    path.lineTo(x + n, row + 1);
  }
  close();
  close();
}
function outlineOf(runs) {
  const path = new Path2D();
  addOutline(path, runs);
  return path;
}
