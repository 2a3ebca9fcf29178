"use strict";

// Tables sort by a click on a heading, and long ones show their first rows until asked for more.
for (const table of document.querySelectorAll("figure.table table")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const most = Number(table.dataset.most);
  let all = rows.length <= most + 5;
  const show = () => [...body.rows].forEach((row, i) => (row.hidden = !all && i >= most));

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell.hasAttribute("data-value")) return cell.textContent;
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number"
      ? a - b
      : String(a).localeCompare(String(b), undefined, { numeric: true });

  table.querySelectorAll("thead button").forEach((button, column) => {
    const head = button.parentElement;
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const order = rows.map((row) => [valueOf(row, column), row]);
      order.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return up ? compare(a, b) : compare(b, a);
      });
      body.append(...order.map(([, row]) => row));
      show();
    });
  });

  if (!all) {
    const more = document.createElement("button");
    more.type = "button";
    more.className = "more";
    more.textContent = `Show all ${rows.length} rows`;
    more.addEventListener("click", () => {
      all = true;
      show();
      more.remove();
    });
    table.parentElement.after(more);
  }
  show();
}

// A click on a spectrogram plays its sound; one sound plays at a time.
const sounds = [...document.querySelectorAll("audio")];
for (const sound of sounds) {
  sound.addEventListener("play", () => {
    for (const other of sounds) if (other !== sound) other.pause();
  });
  const picture = sound.parentElement.querySelector("img");
  picture?.addEventListener("click", () => (sound.paused ? sound.play() : sound.pause()));
}

for (const button of document.querySelectorAll("button.copy")) {
  const text = button.closest(".copied").querySelector(".text");
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(text);
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      document.execCommand("copy"); // of what is selected: pages that are files have no clipboard
    }
    button.textContent = "Copied";
  });
}

// On paper nothing is hidden that a click would show.
let hidden = [];
addEventListener("beforeprint", () => {
  hidden = [...document.querySelectorAll("tr[hidden]")];
  hidden.forEach((row) => (row.hidden = false));
});
addEventListener("afterprint", () => hidden.forEach((row) => (row.hidden = true)));
