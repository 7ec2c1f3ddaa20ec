"use strict";
// The flip browser. All text reaches the page through textContent.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const PAGE = 20;
  const list = document.getElementById("flips");
  if (!list) return;
  const keys = ["candidate", "task", "context", "belief"];
  const selects = Object.fromEntries(["direction", ...keys].map((key) => [key, document.getElementById("filter-" + key)]));
  const search = document.getElementById("filter-text");
  const count = document.getElementById("flip-count");
  const previous = document.getElementById("previous");
  const next = document.getElementById("next");
  let page = 0;

  for (const key of keys) {
    for (const value of [...new Set(data.flips.map((flip) => flip[key]))].sort()) {
      selects[key].add(new Option(value, value));
    }
    if (selects[key].options.length < 3) selects[key].hidden = true;
  }

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const side = (name, verdict, reply) => {
    const box = make("div");
    box.append(make("strong", "", name + " "), make("span", "tag " + verdict, verdict), make("div", "reply", reply));
    return box;
  };

  const card = (flip) => {
    const box = make("article", "flip");
    const tags = make("div");
    for (const key of ["task", "item", "context", "belief"]) tags.append(make("span", "tag", flip[key]));
    if (flip.adopts_belief) tags.append(make("span", "tag incorrect", "adopts the user's belief"));
    const answer = "Right: " + flip.gold + (flip.false_answer ? " · false: " + flip.false_answer : "");
    const sides = make("div", "sides");
    sides.append(side(data.baseline, flip.baseline_verdict, flip.baseline_reply), side(flip.candidate, flip.candidate_verdict, flip.candidate_reply));
    box.append(tags, make("div", "prompt", flip.prompt), make("p", "soft", answer), sides);
    return box;
  };

  const show = () => {
    const words = search.value.toLowerCase();
    const found = data.flips.filter((flip) =>
      Object.entries(selects).every(([key, select]) => !select.value || flip[key] === select.value) &&
      (!words || (flip.prompt + flip.candidate_reply + flip.baseline_reply + flip.gold).toLowerCase().includes(words)));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(page, pages - 1);
    list.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(card));
    count.textContent = found.length.toLocaleString("en") + " pairs, page " + (page + 1) + " of " + pages;
    previous.disabled = page === 0;
    next.disabled = page >= pages - 1;
  };

  const again = () => { page = 0; show(); };
  for (const select of Object.values(selects)) select.addEventListener("change", again);
  search.addEventListener("input", again);
  previous.addEventListener("click", () => { page -= 1; show(); list.scrollIntoView(); });
  next.addEventListener("click", () => { page += 1; show(); list.scrollIntoView(); });
  show();
})();
