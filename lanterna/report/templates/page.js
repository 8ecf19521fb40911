(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  // What a reader chose stays chosen, where the browser lets a page on disk remember.
  const memory = {
    get(name) { try { return localStorage.getItem("lanterna-" + name); } catch { return null; } },
    set(name, value) { try { localStorage.setItem("lanterna-" + name, value); } catch { /* private window */ } },
  };
  const language = () => document.querySelector('input[name="language"]:checked').value;

  function speak() {
    const italian = language() === "it";
    root.lang = language();
    for (const image of all("img[data-alt-it]")) {
      image.dataset.altEn ??= image.alt;
      image.alt = italian ? image.dataset.altIt : image.dataset.altEn;
    }
    for (const named of all("[data-label-it][aria-label]")) {
      named.setAttribute("aria-label", italian ? named.dataset.labelIt : named.dataset.labelEn);
    }
    const title = document.querySelector("title");
    title.dataset.en ??= title.textContent;
    title.textContent = italian ? title.dataset.it : title.dataset.en;
    document.dispatchEvent(new Event("language"));
  }
  const wished = root.dataset.opensIn ?? memory.get("language") ?? (navigator.language.startsWith("it") ? "it" : "en");
  for (const [name, value] of [["language", wished], ["theme", memory.get("theme")]]) {
    const input = value && document.getElementById(name + "-" + value);
    if (input) input.checked = true;
    for (const one of all(`input[name="${name}"]`)) {
      one.addEventListener("change", () => { memory.set(name, one.value); speak(); });
    }
  }

  // Units: the one that is pointed at, or has the focus, shows what was found and seen.
  function activate(unit) {
    const row = unit.parentElement;
    for (const one of all(".unit", row)) {
      one.classList.toggle("active", one === unit);
      one.querySelector(".made").tabIndex = one === unit ? 0 : -1;
    }
  }
  for (const row of all(".units")) {
    const units = all(".unit", row);
    for (const unit of units) {
      const made = unit.querySelector(".made");
      made.setAttribute("role", "button");
      made.addEventListener("mouseenter", () => activate(unit));
      made.addEventListener("focus", () => activate(unit));
      made.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        event.stopPropagation();
        units[(units.indexOf(unit) + step + units.length) % units.length].querySelector(".made").focus();
      });
    }
    if (units.length) activate(units[0]);
  }

  // Every picture can be enlarged: what was made for a unit beside what was found and seen, its control beside what was seen.
  const zoom = document.getElementById("zoom");
  const shots = zoom.querySelector(".shots");
  const frame = shots.firstElementChild;
  const groups = [];
  for (const unit of all(".unit")) {
    const [made, found, seen, control] = all("img", unit);
    groups.push({ unit, images: [made, found, seen].filter(Boolean) });
    if (control) groups.push({ unit, images: [seen, control] });
  }
  for (const image of all("figure img")) {
    if (!image.closest(".unit, #zoom")) groups.push({ images: [image] });
  }
  groups.sort((one, two) => one.images[0].compareDocumentPosition(two.images[0]) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1);
  let shown = 0;
  // Lists within a caption are rows of it: their words alone would run into each other.
  function caption(image) {
    const written = image.closest("figure").querySelector("figcaption");
    if (!written) return image.alt;
    const lists = all("dl, ol", written);
    const rows = lists.flatMap((list) => [...list.children]).map((row) => row.innerText);
    for (const list of lists) list.hidden = true;
    const head = written.innerText;
    for (const list of lists) list.hidden = false;
    return [head, rows.join(", ")].map((text) => text.replace(/\s+/g, " ").trim()).filter(Boolean).join(": ");
  }
  function enlarge(index, step = 1) {
    shown = (index + groups.length) % groups.length;
    const { unit, images } = groups[shown];
    if (images[0].lang && images[0].lang !== language()) { enlarge(shown + step, step); return; }
    if (unit && root.classList.contains("js")) activate(unit);
    shots.replaceChildren(...images.map((image) => {
      const copy = frame.cloneNode(true);
      const target = copy.querySelector("img");
      target.src = image.src;
      target.alt = image.alt;
      target.classList.toggle("pixels", getComputedStyle(image).imageRendering === "pixelated");
      copy.querySelector("figcaption").textContent = caption(image);
      const save = copy.querySelector(".save");
      save.hidden = !image.dataset.file;
      if (image.dataset.file) { save.href = "figures/" + image.dataset.file; save.download = image.dataset.file; }
      return copy;
    }));
    shots.style.setProperty("--shots", images.length);
    if (!zoom.open) zoom.showModal();
  }
  groups.forEach(({ images }, index) => {
    for (const image of images) {
      // What was seen is in two groups, and opens the first.
      if (image.classList.contains("zoomable")) continue;
      image.classList.add("zoomable");
      const target = image.closest(".made") ?? image;
      if (target === image) { image.tabIndex = 0; image.setAttribute("role", "button"); }
      image.addEventListener("click", () => enlarge(index));
      target.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); enlarge(index); }
      });
    }
  });
  zoom.addEventListener("click", (event) => { if (event.target === zoom) zoom.close(); });
  zoom.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); enlarge(shown + step, step); }
  });

  // Sliders between two pictures of the page.
  function labelled(text, input) {
    const label = document.createElement("label");
    const words = document.createElement("span");
    label.append(words, input);
    const say = () => { words.textContent = text[language()]; };
    document.addEventListener("language", say);
    say();
    return label;
  }
  function range(max, value) {
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: 0, max, step: 1 });
    input.value = value;
    return input;
  }
  for (const compare of all(".compare")) {
    const before = document.getElementById(compare.dataset.before);
    const after = compare.dataset.after.split(" ").map((id) => document.getElementById(id)).filter(Boolean);
    if (!before || !after.length) continue;
    const stage = document.createElement("div");
    const first = before.querySelector("img").cloneNode();
    const second = first.cloneNode();
    const names = document.createElement("div");
    const left = document.createElement("b");
    const right = document.createElement("output");
    const title = document.createElement("h4");
    for (const image of [first, second]) { image.alt = ""; image.removeAttribute("role"); image.removeAttribute("tabindex"); delete image.dataset.altIt; image.className = ""; }
    stage.className = "stage";
    stage.style.setProperty("--ratio", `${first.getAttribute("width")} / ${first.getAttribute("height")}`);
    names.className = "names";
    names.append(left, right);
    stage.append(first, second);
    const where = range(100, 50);
    const which = range(after.length - 1, Math.floor((after.length - 1) / 2));
    if (after.some((one) => one.id === "fool-result")) which.value = 0;
    const update = () => {
      const chosen = after[Number(which.value)];
      const tag = language() === "it" ? "labelIt" : "labelEn";
      second.src = chosen.querySelector("img").src;
      stage.style.setProperty("--at", where.value + "%");
      left.textContent = before.dataset[tag];
      right.textContent = chosen.dataset[tag];
      which.setAttribute("aria-valuetext", chosen.dataset[tag]);
      where.setAttribute("aria-valuetext", `${where.value} % ${before.dataset[tag]}`);
      title.textContent = compare.dataset[language() === "it" ? "titleIt" : "titleEn"];
    };
    const drag = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = stage.getBoundingClientRect();
      where.value = Math.round((100 * (event.clientX - box.left)) / box.width);
      update();
    };
    stage.addEventListener("pointerdown", drag);
    stage.addEventListener("pointermove", drag);
    for (const input of [where, which]) input.addEventListener("input", update);
    document.addEventListener("language", update);
    compare.append(title, stage, names, labelled({ en: "Before, after", it: "Prima, dopo" }, where));
    if (after.length > 1) compare.append(labelled({ en: "Which", it: "Quale" }, which));
    compare.hidden = false;
    update();
  }

  // Chapters: the bar shows where one is, arrows go on.
  const chapters = all(".chapter");
  const links = new Map(all(".bar a[data-chapter]").map((link) => [link.dataset.chapter, link]));
  const here = document.querySelector(".bar .here");
  let current = -1;
  let height = 0;
  function mark() {
    const line = innerHeight / 3;
    current = chapters.findLastIndex((chapter) => chapter.getBoundingClientRect().top <= line);
    for (const link of links.values()) link.removeAttribute("aria-current");
    const link = current >= 0 && links.get(chapters[current].id);
    if (link) link.setAttribute("aria-current", "true");
    here.replaceChildren(...(link ? link.querySelector(".name").cloneNode(true).childNodes : []));
    height = current >= 0 ? chapters[current].getBoundingClientRect().top : 0;
  }
  // Another language makes everything longer or shorter: the reader stays at the same chapter.
  document.addEventListener("language", () => {
    if (current >= 0) scrollBy({ top: chapters[current].getBoundingClientRect().top - height, behavior: "instant" });
  });
  addEventListener("scroll", mark, { passive: true });
  mark();

  const help = document.getElementById("help");
  document.querySelector(".help-button").addEventListener("click", () => help.showModal());
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || zoom.open || help.open) return;
    if (event.key === "?") { help.showModal(); return; }
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || event.target.matches("input, pre, .scroll")) return;
    const next = chapters[Math.min(Math.max(current + step, 0), chapters.length - 1)];
    if (!next) return;
    event.preventDefault();
    next.scrollIntoView();
    next.focus({ preventScroll: true });
  });

  // On paper nothing is folded away, and what tells how it was made comes after all chapters, if it is wanted.
  let folded = [];
  let moved = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open])");
    for (const one of folded) one.open = true;
    if (!document.getElementById("paper-all").checked) return;
    const footer = document.querySelector("footer");
    moved = all(".chapter .how").map((how) => {
      const home = how.parentElement;
      const next = how.nextSibling;
      const title = document.createElement("h3");
      title.className = "appendix";
      title.append(...home.querySelector("h2").cloneNode(true).childNodes);
      footer.before(title, how);
      return () => { title.remove(); home.insertBefore(how, next); };
    });
  });
  addEventListener("afterprint", () => {
    for (const one of folded) one.open = false;
    for (const back of moved) back();
    moved = [];
  });
  speak();
})();
