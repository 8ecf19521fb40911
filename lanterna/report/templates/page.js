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
  const wished = memory.get("language") ?? (navigator.language.startsWith("it") ? "it" : "en");
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

  // Every picture can be enlarged.
  const zoom = document.getElementById("zoom");
  const pictures = all("figure img");
  let shown = 0;
  function enlarge(index, step = 1) {
    shown = (index + pictures.length) % pictures.length;
    const image = pictures[shown];
    if (image.lang && image.lang !== language()) { enlarge(shown + step, step); return; }
    const target = zoom.querySelector("img");
    target.src = image.src;
    target.alt = image.alt;
    target.classList.toggle("pixels", getComputedStyle(image).imageRendering === "pixelated");
    const caption = image.closest("figure").querySelector("figcaption");
    zoom.querySelector("p").textContent = caption ? caption.innerText.replace(/\s+/g, " ") : image.alt;
    if (!zoom.open) zoom.showModal();
  }
  pictures.forEach((image, index) => {
    image.classList.add("zoomable");
    const target = image.closest(".made") ?? image;
    if (target === image) { image.tabIndex = 0; image.setAttribute("role", "button"); }
    image.addEventListener("click", () => enlarge(index));
    target.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); enlarge(index); }
    });
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

  // On paper nothing is folded away.
  let folded = [];
  addEventListener("beforeprint", () => { folded = all("details:not([open])"); for (const one of folded) one.open = true; });
  addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
  speak();
})();
