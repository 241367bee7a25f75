/* figure.js - figures: numbers at points and cells, a legend that hides lines, and the way from a
 * cell to the row of its module.
 */
function makeFigure(figure) {
  const REACH = 30; /* pixels from a point at which it answers */
  const tip = document.createElement("div");
  let ring = null; /* around the point that answers */
  const json = figure.querySelector("script.cells");
  const cells = json ? JSON.parse(json.textContent) : null;
  let current = null;

  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  figure.append(tip);

  function show(text, x, y) {
    const box = figure.getBoundingClientRect();
    tip.textContent = text;
    tip.hidden = false;
    const left = Math.min(x - box.left + 12, box.width - tip.offsetWidth - 2);
    const above = y - box.top - tip.offsetHeight - 10;
    tip.style.left = Math.max(0, left) + "px";
    tip.style.top = (above > 0 ? above : y - box.top + 14) + "px";
  }

  function hide() {
    tip.hidden = true;
    if (ring) ring.remove();
    ring = current = null;
  }

  /* Points: the circles that the page has; the one nearest to the pointer answers. */
  function middle(point) {
    const box = point.getBoundingClientRect();
    return { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 };
  }

  function showPoint(point) {
    const at = middle(point);
    if (ring) ring.remove();
    current = point;
    ring = point.cloneNode(false);
    ring.setAttribute("class", "at");
    point.before(ring);
    show(point.text, at.x, at.y);
  }

  function makePoints(svg, points) {
    const shown = () => points.filter((point) => !point.classList.contains("off"));

    for (const point of points) {
      const title = point.firstElementChild;
      point.text = title.textContent;
      title.remove();
    }
    function near(event) {
      let best = null;
      let least = REACH;
      for (const point of shown()) {
        const at = middle(point);
        const distance = Math.hypot(at.x - event.clientX, at.y - event.clientY);
        if (distance < least) {
          least = distance;
          best = point;
        }
      }
      if (best) showPoint(best);
      else hide();
    }
    svg.addEventListener("pointermove", near);
    svg.addEventListener("pointerdown", near);
    /* Left and right go along a line, up and down to the next line. */
    svg.addEventListener("keydown", (event) => {
      const list = shown();
      const at = list.indexOf(current);
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      let next = null;
      if (step) next = list[at < 0 ? 0 : Math.min(list.length - 1, Math.max(0, at + step))];
      else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        const line = (point) => point.getAttribute("class");
        const lines = Array.from(new Set(list.map(line)));
        const to = lines.indexOf(current ? line(current) : "") + (event.key === "ArrowDown" ? 1 : -1);
        next = list.find((point) => line(point) === lines[Math.min(lines.length - 1, Math.max(0, to))]);
      } else if (event.key === "Escape") hide();
      if (!next) return;
      event.preventDefault();
      showPoint(next);
    });
  }

  /* Cells of a heat map: numbers from the list beside it. */
  function cellText(row, column) {
    const v = cells.values[row][column];
    const lines = [cells.rows[row], cells.x + " " + cells.columns[column]];
    lines.push(cells.value + " " + (v === null ? "not a finite number" : Number(v.toPrecision(4))));
    if (cells.limit && v > 0) {
      const bits = Math.log2(cells.limit / v);
      lines.push(cells.format + ": " + (bits < 0 ? "over its limit" : bits.toFixed(1) + " bits of headroom"));
    }
    return lines.join("\n");
  }

  function showCell(image, row, column) {
    const box = image.getBoundingClientRect();
    current = { row, column };
    show(cellText(row, column), box.left + (column + 0.5) * box.width / cells.columns.length,
      box.top + (row + 0.5) * box.height / cells.rows.length);
  }

  function cellAt(image, event) {
    const box = image.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / box.width * cells.columns.length);
    const row = Math.floor((event.clientY - box.top) / box.height * cells.rows.length);
    const inside = row >= 0 && row < cells.rows.length && column >= 0 && column < cells.columns.length;
    return inside ? { row, column } : null;
  }

  function makeCells(svg, image) {
    const onPointer = (event) => {
      const at = cellAt(image, event);
      if (at) showCell(image, at.row, at.column);
      else hide();
    };
    svg.addEventListener("pointermove", onPointer);
    svg.addEventListener("pointerdown", onPointer);
    svg.addEventListener("click", (event) => {
      const at = cellAt(image, event);
      if (at) goToRow(figure, cells.rows[at.row]);
    });
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      if (event.key === "Escape") hide();
      if (event.key === "Enter" && current) goToRow(figure, cells.rows[current.row]);
      if (!step) return;
      event.preventDefault();
      const at = current || { row: -step[0], column: -step[1] };
      showCell(image, Math.min(cells.rows.length - 1, Math.max(0, at.row + step[0])),
        Math.min(cells.columns.length - 1, Math.max(0, at.column + step[1])));
    });
    svg.classList.add("links");
  }

  for (const svg of figure.querySelectorAll(".panels > svg")) {
    const image = cells && svg.querySelector("image.cells");
    const points = Array.from(svg.querySelectorAll("circle.hit"));
    if (!image && points.length === 0) continue;
    svg.tabIndex = 0;
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    if (image) makeCells(svg, image);
    else makePoints(svg, points);
  }

  for (const button of figure.querySelectorAll(".legend button"))
    button.addEventListener("click", () => {
      const off = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!off));
      for (const part of figure.querySelectorAll(".panels .s" + button.dataset.line))
        part.classList.toggle("off", off);
      hide();
    });
}

/* The first row that names the module: of the tables after the figure, then of those before it. */
function goToRow(figure, module) {
  const tables = Array.from(figure.closest("main, .main").querySelectorAll("table"));
  const after = tables.filter(
    (table) => figure.compareDocumentPosition(table) & Node.DOCUMENT_POSITION_FOLLOWING);
  for (const table of after.concat(tables))
    for (const row of table.tBodies[0].rows) {
      if (!Array.from(row.cells).some((cell) => cell.textContent.trim() === module)) continue;
      for (let at = row.parentElement; at; at = at.parentElement)
        if (at.tagName === "DETAILS") at.open = true;
      for (const lit of document.querySelectorAll("tr.lit")) lit.classList.remove("lit");
      row.hidden = false;
      if (row.matches(".cut")) table.showAll();
      row.classList.add("lit");
      row.tabIndex = -1;
      row.scrollIntoView({ block: "center" });
      row.focus({ preventScroll: true });
      return;
    }
}

document.querySelectorAll("figure.plot").forEach(makeFigure);
