// A knowledge graph to ask: answers, the part of the graph that they stand in, and the story
// between two nodes. Graph, picture, stories and the search by words run here. What needs an
// encoder is answered by Python (`live`), which counts `answered` up, or looked up in `table`.

// ---- the graph: nodes 0 .. n_articles - 1 are sentences, the others are entities

const STOP = new Set(("a an and are as at be but by for if in into is it no not of on or " +
  "such that the their then there these they this to was will with").split(" "));

const plain = text => (text.toLowerCase().replaceAll("_", " ").match(/[\p{L}\p{N}]+/gu)
  || []).join(" ");

export const words = text => (text.toLowerCase().match(/[\p{L}\p{N}_]{2,}/gu) || [])
  .filter(word => !STOP.has(word));

export function word_scores(texts, question, k1 = 1.2, b = 0.75) {  // BM25
  const documents = texts.map(words), n = texts.length, scores = new Array(n).fill(0);
  const mean = documents.reduce((sum, d) => sum + d.length, 0) / n;
  for (const word of new Set(words(question))) {
    const counts = documents.map(d => d.filter(w => w === word).length);
    const found = counts.filter(Boolean).length;
    const weight = Math.log(1 + (n - found + 0.5) / (found + 0.5));
    counts.forEach((count, i) => {
      if (count) scores[i] += weight * count /
        (count + k1 * (1 - b + b * documents[i].length / mean));
    });
  }
  return scores;
}

export function named(setup, text) {  // entities that a text names
  const padded = ` ${plain(text)} `;
  return setup.nodes.map((_, i) => i).filter(i => {
    const { name, kind } = setup.nodes[i], word = plain(name);
    return i >= setup.n_articles && kind !== "class" && word &&
      (padded.includes(` ${word} `) || padded.includes(` ${word}s `));
  });
}

export function around(setup) {  // for each node its neighbours
  const near = setup.nodes.map(() => new Set());
  for (const [i, j] of [...setup.edges, ...setup.relations.map(([s, , o]) => [s, o])]) {
    near[i].add(j);
    near[j].add(i);
  }
  return near.map(list => [...list].sort((a, b) => a - b));
}

export function components(near, nodes) {  // for each node the number of its part; 0 is first
  const inside = new Set(nodes), part = new Map();
  let count = 0;
  for (const start of nodes) {
    if (part.has(start)) continue;
    const todo = [start];
    part.set(start, count);
    while (todo.length) {
      for (const next of near[todo.pop()]) {
        if (!inside.has(next) || part.has(next)) continue;
        part.set(next, count);
        todo.push(next);
      }
    }
    count++;
  }
  return part;
}

export function paths(near, source, target, most = 5) {  // the shortest paths, first ones first
  const far = new Map([[target, 0]]), queue = [target];
  for (let at = 0; at < queue.length && !far.has(source); at++) {
    for (const next of near[queue[at]]) {
      if (far.has(next)) continue;
      far.set(next, far.get(queue[at]) + 1);
      queue.push(next);
    }
  }
  const found = [], walk = path => {
    const last = path[path.length - 1];
    if (found.length === most) return;
    if (last === target) found.push(path);
    else for (const next of near[last]) {
      if (far.get(next) === far.get(last) - 1) walk([...path, next]);
    }
  };
  if (far.has(source)) walk([source]);
  return found;
}

const pretty = name => name.replaceAll("_", " ");

export function tell(setup, path) {  // a line for each step of a path
  const { nodes, n_articles, relations } = setup;
  const sentence = i => `${nodes[i].name}: ` +
    (nodes[i].text ? `\u201c${nodes[i].text}\u201d` : "its sentence is not kept.");
  return path.map((i, at) => {
    if (i < n_articles) return sentence(i);
    const before = path[at - 1], name = pretty(nodes[i].name) +
      (nodes[i].text ? ` (${nodes[i].text})` : "");
    if (before === undefined) return `It begins with ${name}.`;
    if (before < n_articles) return `It names ${name}.`;
    const known = relations.find(([s, , o]) =>
      (s === before && o === i) || (s === i && o === before));
    if (known) return `${pretty(nodes[known[0]].name)} \u2014 ${known[1]} \u2192 ` +
      `${pretty(nodes[known[2]].name)}, says ${sentence(known[3])}`;
    return nodes[i].kind === "class" ? `That is a kind of ${name}.`
      : `Another ${pretty(nodes[before].name)} is ${name}.`;
  });
}

// ---- the picture: springs, repulsion, and labels that keep out of each other's way

export function settle(nodes, links, width, height, rounds = 300) {  // moves nodes in place
  const n = nodes.length, ideal = 0.75 * Math.sqrt(width * height / Math.max(n, 4));
  const push = (one, other, dx, dy) => {
    if (!one.held) { one.x += dx; one.y += dy; }
    if (!other.held) { other.x -= dx; other.y -= dy; }
  };
  for (let round = 0; round < rounds; round++) {
    const heat = rounds > 20 ? 1 - round / rounds : 0.3;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) {
        const a = nodes[i], b = nodes[j], dx = a.x - b.x, dy = a.y - b.y;
        const d2 = dx * dx + dy * dy + 0.01, d = Math.sqrt(d2);
        const far = Math.min(ideal * ideal / d2, 2) * 2 * heat;
        push(a, b, dx / d * far, dy / d * far);
      }
    }
    for (const [i, j] of links) {
      const a = nodes[i], b = nodes[j], dx = b.x - a.x, dy = b.y - a.y;
      const d = Math.hypot(dx, dy) + 0.01, pull = (d - ideal * 0.8) * 0.05 * heat;
      push(a, b, dx / d * pull, dy / d * pull);
    }
    for (const a of nodes) {
      if (a.held) continue;
      a.x += (width / 2 - a.x) * 0.012 * heat * Math.min(1, height / width);
      a.y += (height / 2 - a.y) * 0.012 * heat * Math.max(1, width / height);
    }
    if (round > rounds / 2) aside(nodes, links);
    apart(nodes, width, height, push);
  }
  return nodes;
}

function aside(nodes, links) {  // no line runs through the label of a third node
  for (const [i, j] of links) {
    const a = nodes[i], b = nodes[j], d = Math.hypot(b.x - a.x, b.y - a.y) + 0.01;
    const [ux, uy] = [(b.x - a.x) / d, (b.y - a.y) / d];
    nodes.forEach((c, k) => {
      const x = c.x - a.x, y = c.y + 9 - a.y, along = x * ux + y * uy;
      if (k === i || k === j || c.held || along < 0 || along > d) return;
      const off = x * uy - y * ux, over = c.half * Math.abs(uy) + 17 * Math.abs(ux)
        - Math.abs(off);
      if (over <= 0) return;
      c.x += Math.sign(off) * uy * over * 0.1;
      c.y -= Math.sign(off) * ux * over * 0.1;
    });
  }
}

function apart(nodes, width, height, push) {  // labels are boxes under their nodes
  for (let i = 0; i < nodes.length; i++) {
    for (let j = 0; j < i; j++) {
      const a = nodes[i], b = nodes[j], dx = a.x - b.x, dy = a.y - b.y;
      const over_x = a.half + b.half + 4 - Math.abs(dx), over_y = 34 - Math.abs(dy);
      if (over_x <= 0 || over_y <= 0) continue;
      if (over_y < over_x) push(a, b, 0, (dy < 0 ? -1 : 1) * over_y * 0.3);
      else push(a, b, (dx < 0 ? -1 : 1) * over_x * 0.3, 0);
    }
  }
  for (const a of nodes) {
    const side = Math.min(a.half + 3, width / 2);
    a.x = Math.min(width - side, Math.max(side, a.x));
    a.y = Math.min(height - 26, Math.max(14, a.y));
  }
}

// ---- the page

const STYLE = `
.lab-graph { font: 14px/1.4 system-ui, sans-serif; color: inherit; max-width: 860px; }
.lab-graph .controls { display: flex; flex-wrap: wrap; gap: .4em 1.2em; margin: .4em 0;
  align-items: center; }
.lab-graph label { display: flex; align-items: center; gap: .4em; max-width: 100%; }
.lab-graph .wide { flex: 1 1 100%; }
.lab-graph .wide > * { flex: 1; }
.lab-graph select, .lab-graph input, .lab-graph button { font: inherit; color: inherit;
  min-width: 0; background: transparent; border: 1px solid #7d7d7d; border-radius: 4px;
  padding: .15em .4em; max-width: 100%; box-sizing: border-box; }
.lab-graph input[type=number] { width: 4.6em; }
.lab-graph button { cursor: pointer; }
.lab-graph option { color: #111; background: #fff; }
.lab-graph :disabled { border-style: dashed; opacity: .7; }
.lab-graph :focus-visible { outline: 2px solid #2b7bba; outline-offset: 2px; }
.lab-graph .answers { padding-left: 1.6em; margin: .4em 0; transition: opacity .15s; }
.lab-graph .answers.waiting { opacity: .6; }
.lab-graph .answers.stale { opacity: .35; }
.lab-graph .answers li { margin: .3em 0; }
.lab-graph .answers button { display: block; width: 100%; border: 0; padding: .1em .3em;
  text-align: left; }
.lab-graph .answers button:hover { background: #7d7d7d22; }
.lab-graph .about { display: flex; flex-wrap: wrap; gap: 0 .8em; font-size: .88em;
  opacity: .9; font-variant-numeric: tabular-nums; align-items: center; }
.lab-graph .bar { width: 60px; height: 7px; border: 1px solid #7d7d7d; border-radius: 4px; }
.lab-graph .bar i { display: block; height: 100%; background: #c77800; border-radius: 3px; }
.lab-graph .off .said, .lab-graph .off .about { opacity: .62; }
.lab-graph svg { display: block; width: 100%; border: 1px solid #7d7d7d66;
  box-sizing: border-box; border-radius: 6px; touch-action: pan-y; user-select: none; }
.lab-graph svg text { fill: currentColor; font-size: 12px; text-anchor: middle;
  pointer-events: none; }
.lab-graph .node { cursor: pointer; outline: none; }
.lab-graph .node circle { stroke-width: 2; }
.lab-graph .node:focus-visible circle, .lab-graph .node.here circle { stroke: currentColor;
  stroke-width: 3; }
.lab-graph .node.off { opacity: .5; }
.lab-graph .node.off circle { stroke-dasharray: 2 2; }
.lab-graph .dim > :not(.lit) { opacity: .22; }
.lab-graph line { stroke: #7d7d7d; stroke-width: 1.2; }
.lab-graph line.told { stroke: #d55e00; stroke-width: 3; }
.lab-graph .legend { display: flex; flex-wrap: wrap; gap: .2em 1.1em; font-size: .88em;
  margin: .35em 0; }
.lab-graph .legend i { display: inline-block; width: 10px; height: 10px; margin-right: .4em;
  border: 2px solid; border-radius: 50%; box-sizing: border-box; }
.lab-graph .detail, .lab-graph .story { display: block; margin: .4em 0;
  overflow-wrap: anywhere; }
.lab-graph .story { border-left: 3px solid #d55e00; padding-left: .7em; }
.lab-graph .story:empty, .lab-graph .message:empty, .lab-graph .note:empty { display: none; }
.lab-graph .story ol { margin: .2em 0; padding-left: 1.6em; }
.lab-graph .hint, .lab-graph .note { font-size: .9em; opacity: .9; margin: .3em 0; }
.lab-graph .message { border-left: 3px solid #d55e00; padding-left: .6em; margin: .4em 0; }
@media (prefers-reduced-motion: reduce) { .lab-graph .answers { transition: none; } }`;

const INK = { article: "#c77800", linked: "#2b7bba", phrase: "#00946b", class: "#7d7d7d" };
const KINDS = { article: "sentence", linked: "entity with a page in Wikidata",
  phrase: "phrase", class: "kind (instance of)" };
const MOST = 90;  // nodes that are drawn
const HINT = "Click a node to go on from it: its neighbours come in, and a story is told from " +
  "the node that was clicked before. Drag to arrange. Keys: arrows move from node to node, " +
  "Enter clicks.";
const SEPARATE = "This page holds the answers to the questions of the list. One of your own is " +
  "answered by its words alone; in a running notebook, by any method.";

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

function shape(tag, attributes = {}, ...children) {
  const space = make("div", { innerHTML: "<svg></svg>" }).firstChild.namespaceURI;
  const element = document.createElementNS(space, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function labelled(text, control) {
  control.setAttribute("aria-label", text);  // without the words of its choices
  return make("label", {}, text, control);
}

function chooser(name, options, changed) {
  const select = make("select", { className: "pick-" + name });
  options.forEach((text, i) => select.append(make("option", { value: i, textContent: text })));
  select.onchange = () => changed(+select.value);
  return select;
}

const cut = (text, most) => text.length > most ? text.slice(0, most - 1) + "\u2026" : text;

function render({ model, el }) {
  const live = model.get("live"), setup = model.get("setup");
  const { nodes, n_articles, methods, layers, lams, questions, k } = setup;
  const near = around(setup), table = live ? null : model.get("table");
  const texts = nodes.slice(0, n_articles).map(node => node.text);
  let found = [], shown = [], part = new Map(), places = new Map(), links = [];
  let clicked = [], told = [], which = 0, ours = false, width = 0;

  // ---- asking

  const change = (name, value) => {
    if (model.get(name) === value) return;
    if (live) answers.classList.add("waiting");
    model.set(name, value);
    model.save_changes();
    if (!live) refresh();
  };

  function stored() {  // what the page knows about the present choice
    const question = model.get("question"), number = questions.indexOf(question);
    const near6 = score => Math.round(score * 1e6);  // equal to six digits: by number
    const rows = scores => scores.map((score, i) => [i, score]).filter(row => row[1] > 0)
      .sort((a, b) => near6(b[1]) - near6(a[1]) || a[0] - b[0]).slice(0, k);
    if (number >= 0) {
      const method = model.get("method"), tuned = setup.tuned.includes(method);
      const key = [number, method, ...(tuned ? [model.get("layers"), model.get("lam")] : [])];
      return { method, ...table[key.join(" ")] };
    }
    return { method: "words", found: rows(word_scores(texts, question)),
      entities: named(setup, question), note: methods.includes("words")
        && model.get("method") === "words" ? "" : "Answered by its words alone." };
  }

  const own = make("input", { type: "text", className: "type-question", spellcheck: false,
    autocomplete: "off", maxLength: 300 });
  let waiting;
  const ask = () => {
    clearTimeout(waiting);
    change("question", own.value.trim());
  };
  own.onchange = ask;
  own.oninput = () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 600);
  };
  const pick = chooser("question", [...questions, "(your own)"],
    i => i < questions.length && change("question", questions[i]));
  const method = chooser("method", methods, i => change("method", methods[i]));
  const depth = chooser("layers", layers, i => change("layers", layers[i]));
  const lam = live ? make("input", { type: "number", min: 0, max: 1, step: 0.05,
    className: "type-lam", onchange: () => change("lam", +lam.value) })
    : chooser("lam", lams, i => change("lam", lams[i]));

  function follow() {  // the controls show what the model holds
    const question = model.get("question"), at = questions.indexOf(question);
    if (document.activeElement !== own || live) own.value = question;
    pick.value = at < 0 ? questions.length : at;
    method.value = methods.indexOf(model.get("method"));
    depth.value = layers.indexOf(model.get("layers"));
    lam.value = live ? model.get("lam") : lams.indexOf(model.get("lam"));
    const tuned = setup.tuned.includes(model.get("method"));
    for (const control of [depth, lam]) {
      control.disabled = !tuned;
      control.title = tuned ? "" : `${model.get("method")} takes none`;
    }
    for (const control of live ? [] : [method]) control.disabled = at < 0;
  }

  // ---- showing

  const answers = make("ol", { className: "answers" });
  answers.setAttribute("aria-live", "polite");
  const note = make("div", { className: "note" }), detail = make("output", {
    className: "detail" }), story = make("div", { className: "story" });
  story.setAttribute("aria-live", "polite");
  const message = make("div", { className: "message" });
  message.setAttribute("role", "alert");
  const svg = shape("svg", { role: "group" });
  const legend = make("div", { className: "legend" });

  function refresh() {
    const problem = live ? model.get("message") : model.get("question") ? ""
      : "text must be a question of at least one word (got '')";
    message.textContent = problem;
    answers.classList.remove("waiting");
    answers.classList.toggle("stale", Boolean(problem));
    follow();
    if (problem) return;
    const result = live ? model.get("result") : stored();
    found = result.found;
    const linked = result.entities.map(i => nodes[i].name).map(pretty);
    note.textContent = [result.note, linked.length
      ? `In the question: ${linked.join(", ")}.` : "No entity of the graph is named in the " +
      "question."].filter(Boolean).join(" ");
    first();
  }

  function first() {  // the answers' own part of the graph
    shown = [];
    add(found.flatMap(([i]) => [i]));
    add(found.flatMap(([i]) => near[i]));
    clicked = [];
    tell_story();
    part = components(near, shown);
    list();
    draw();
  }

  function add(more) {  // to what is shown; false if there is no room
    const fresh = [...new Set(more)].filter(i => !shown.includes(i));
    shown.push(...fresh.slice(0, Math.max(0, MOST - shown.length)));
    return shown.length < MOST;
  }

  function list() {
    const best = Math.max(...found.map(([, score]) => score), 1e-9);
    answers.replaceChildren(...found.map(([i, score]) => {
      const node = nodes[i], off = part.get(i) > 0;
      const bar = make("span", { className: "bar" }, make("i"));
      bar.firstChild.style.width = `${Math.max(0, score / best) * 100}%`;
      const where = [...new Set([node.topic, node.document])].filter(Boolean).map(pretty);
      const about = make("span", { className: "about" }, bar, ...[score.toFixed(3), node.name,
        where.join(" \u00b7 "), off ? "not connected with the first answer" : ""]
        .map(textContent => make("span", { textContent })));
      return make("li", { className: off ? "off" : "" }, make("button", { type: "button",
        onclick: () => click(i) }, make("span", { className: "said",
        textContent: node.text || `(the sentence of ${node.name} is not kept)` }), about));
    }));
    if (!found.length) answers.replaceChildren(make("li", {
      textContent: "No sentence has a word of the question." }));
    root.dataset.off = found.filter(([i]) => part.get(i) > 0).length;
    root.dataset.found = found.map(([i]) => nodes[i].name).join(" ");
  }

  const pen = make("canvas").getContext("2d"), caption = i => cut(pretty(nodes[i].name), 22);
  pen.font = "12px system-ui, sans-serif";

  function draw(rounds = 300) {  // lay out what is shown, and draw it
    width = Math.max(260, svg.clientWidth || 640);
    const height = Math.round(Math.min(760, Math.max(340, 220 + shown.length * 9,
      shown.length * 34 * 95 / width)));
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height + 2}px`;  // and its border
    shown.forEach((i, at) => {
      const half = Math.min(pen.measureText(caption(i)).width / 2 + 2, width / 2 - 8);
      const from = shown.slice(0, at).map(j => near[i].includes(j) && places.get(j)).find(Boolean);
      const turn = at * 2.39996, out = from ? 40 : 0.42 * Math.sqrt((at + 1) / shown.length);
      if (!places.has(i)) places.set(i, from
        ? { x: from.x + out * Math.cos(turn), y: from.y + out * Math.sin(turn) }
        : { x: width * (0.5 + out * Math.cos(turn)), y: height * (0.5 + out * Math.sin(turn)) });
      Object.assign(places.get(i), { half: Math.max(half, 12) });
    });
    for (const i of [...places.keys()]) if (!shown.includes(i)) places.delete(i);
    links = shown.flatMap((i, a) => shown.slice(0, a).flatMap((j, b) =>
      near[i].includes(j) ? [[b, a]] : []));
    settle(shown.map(i => places.get(i)), links, width, height, rounds);
    paint();
  }

  function paint() {
    const path = told[which] || [], on = (i, j) => path.some((p, at) =>
      (p === i && path[at + 1] === j) || (p === j && path[at + 1] === i));
    const lines = links.map(([a, b]) => {
      const [i, j] = [shown[a], shown[b]], p = places.get(i), q = places.get(j);
      const line = shape("line", { x1: p.x, y1: p.y, x2: q.x, y2: q.y });
      if (on(i, j)) line.classList.add("told");
      line.ends = [i, j];
      return line;
    });
    const focus = document.activeElement?.node, had = svg.contains(document.activeElement);
    svg.classList.remove("dim");
    svg.replaceChildren(...lines, ...shown.map(drawn));
    const at = svg.querySelector(`[data-node="${had ? focus : -1}"]`);
    if (at) at.focus();
    say();
  }

  function drawn(i) {  // one node
    const { name, kind } = nodes[i], { x, y } = places.get(i), ink = INK[kind];
    const answer = found.some(([row]) => row === i);
    const circle = shape("circle", { r: answer ? 9 : 7, stroke: ink,
      fill: kind === "article" && !answer ? "transparent" : ink });
    const { half } = places.get(i), hit = shape("rect", { x: -half, y: -11, width: 2 * half,
      height: 38, fill: "transparent", stroke: "none" });
    const text = shape("text", { y: 22 });
    text.textContent = caption(i);
    const group = shape("g", { class: "node", transform: `translate(${x} ${y})`, role: "button",
      tabindex: shown[0] === i ? 0 : -1, "data-node": i,
      "aria-label": `${pretty(name)}, ${answer ? "answer" : KINDS[kind]}` +
        (part.get(i) > 0 ? ", not connected with the first answer" : "") }, hit, circle, text);
    group.classList.toggle("off", part.get(i) > 0);
    group.classList.toggle("here", clicked.includes(i));
    group.node = i;
    group.onpointerenter = () => light(i);
    group.onpointerleave = () => light(null);
    group.onfocus = () => say(i);
    group.onpointerdown = event => drag(event, i);
    group.onkeydown = event => keys(event, i);
    return group;
  }

  function light(i) {  // a node and its neighbours
    svg.classList.toggle("dim", i !== null);
    for (const item of svg.children) {
      item.classList.toggle("lit", item.ends
        ? item.ends.includes(i) || item.classList.contains("told")
        : item.node === i || near[i ?? 0].includes(item.node));
    }
    say(i ?? undefined);
  }

  function say(i = clicked[clicked.length - 1] ?? found[0]?.[0]) {
    if (i === undefined) return;
    const { name, kind, text } = nodes[i];
    const others = near[i].filter(j => !shown.includes(j)).length;
    detail.textContent = `${pretty(name)} (${KINDS[kind]})` + (text ? `: ${text}` : "") +
      (others ? ` \u2014 ${others} more neighbour${others > 1 ? "s" : ""}.` : "");
    svg.setAttribute("aria-label", `graph of ${shown.length} nodes in ` +
      `${new Set(part.values()).size} parts. ${HINT}`);
    root.dataset.nodes = shown.length;
    root.dataset.parts = new Set(part.values()).size;
  }

  // ---- going on, and stories

  function click(i) {
    clicked = [...clicked.filter(j => j !== i), i].slice(-2);
    const room = add([i, ...near[i]]);
    tell_story();
    add(told[which] || []);
    part = components(near, shown);
    if (!room) note.textContent = `No more than ${MOST} nodes are drawn: start again to see more.`;
    draw(150);
    ours = true;
    model.set("clicked", clicked.map(j => nodes[j].name));
    model.save_changes();
    ours = false;
  }

  function tell_story() {
    const [source, target] = clicked, names = clicked.map(i => pretty(nodes[i].name));
    told = clicked.length < 2 ? [] : paths(near, source, target);
    which = 0;
    root.dataset.story = told.length;
    speak(names);
  }

  function speak(names) {
    if (clicked.length < 2) return story.replaceChildren();
    if (!told.length) return story.replaceChildren(`There is no path from ${names[0]} to ` +
      `${names[1]}: they stand in different parts of the graph.`);
    const steps = told[which].length - 1;
    const head = `From ${names[0]} to ${names[1]} in ${steps} step${steps > 1 ? "s" : ""}`;
    const next = make("button", { type: "button", className: "next",
      textContent: `another way (${which + 1} of ${told.length})`, onclick: () => {
        which = (which + 1) % told.length;
        add(told[which]);
        part = components(near, shown);
        speak(names);
        draw(150);
        story.querySelector(".next").focus();
      } });
    story.replaceChildren(make("div", {}, head, told.length > 1 ? " \u2014 " : ".",
      told.length > 1 ? next : ""), make("ol", {}, ...tell(setup, told[which]).map(
      line => make("li", { textContent: line }))));
  }

  // ---- by hand and by keys

  function drag(event, i) {
    const place = places.get(i), box = svg.getBoundingClientRect();
    const from = [event.clientX, event.clientY];
    let moved = false;
    event.preventDefault();
    svg.querySelector(`[data-node="${i}"]`).focus({ preventScroll: true });
    const move = e => {
      moved ||= Math.hypot(e.clientX - from[0], e.clientY - from[1]) > 4;
      if (!moved) return;
      Object.assign(place, { held: true, x: e.clientX - box.left, y: e.clientY - box.top });
      settle(shown.map(j => places.get(j)), links, width, box.height, 4);
      paint();
    };
    const stop = () => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", stop);
      removeEventListener("pointercancel", stop);
      if (!moved) click(i);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", stop);
    addEventListener("pointercancel", stop);
  }

  function keys(event, i) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
      ArrowDown: [0, 1] }[event.key];
    if (event.key === "Enter" || event.key === " ") click(i);
    else if (way) {
      const { x, y } = places.get(i), cost = j => {
        const dx = places.get(j).x - x, dy = places.get(j).y - y;
        const along = dx * way[0] + dy * way[1];
        return along <= 0 ? Infinity : along + 2 * Math.abs(dx * way[1] + dy * way[0]);
      };
      const next = shown.filter(j => j !== i).reduce((a, b) => cost(b) < cost(a) ? b : a);
      if (cost(next) < Infinity) svg.querySelector(`[data-node="${next}"]`).focus();
    } else return;
    event.preventDefault();
  }

  const again = make("button", { type: "button", className: "again",
    textContent: "Start again", onclick: () => {
      places.clear();
      first();
    } });
  const closure = make("button", { type: "button", className: "closure",
    textContent: "Show what is around", onclick: () => {
      add(shown.flatMap(i => near[i]));
      part = components(near, shown);
      draw();
    } });
  const mark = (ink, filled, text, dashed) => {
    const dot = make("i");
    dot.style.borderColor = ink;
    dot.style.background = filled ? ink : "transparent";
    if (dashed) Object.assign(dot.style, { borderStyle: "dashed", opacity: 0.6 });
    return make("span", {}, dot, text);
  };
  legend.append(mark(INK.article, true, "answer"), mark(INK.article, false, "other sentence"),
    mark(INK.linked, true, "entity"), mark(INK.phrase, true, "phrase"),
    mark(INK.class, true, "kind"), mark(INK.class, false,
      "faint: not connected with the first answer", true));

  const root = make("div", { className: "lab-graph" },
    make("style", { textContent: STYLE }),
    make("div", { className: "controls" }, labelled("question", pick)),
    make("div", { className: "controls" }, labelled("or your own", own),
      labelled("method", method), labelled("layers", depth), labelled("lambda", lam)),
    make("div", { className: "hint where", textContent: live ? "" : SEPARATE }),
    message, answers, note, svg, legend,
    make("div", { className: "controls" }, closure, again), detail, story,
    make("div", { className: "hint", textContent: HINT }));
  root.querySelector("label").classList.add("wide");
  own.parentElement.classList.add("wide");
  root.dataset.lmSuppressShortcuts = "true";  // JupyterLab leaves the keys to us ...
  root.onkeydown = event => {  // ... all of them
    if (/^(Arrow|Home|End|Page| |Enter)/.test(event.key)) event.stopPropagation();
  };
  el.replaceChildren(root);

  const said = () => {
    message.textContent = model.get("message");
    if (!message.textContent) answers.classList.remove("waiting", "stale");
  };
  const theirs = () => {  // Python clicked
    if (ours) return;
    const at = model.get("clicked").map(name => nodes.findIndex(node => node.name === name));
    clicked = [];
    at.filter(i => i >= 0).forEach(i => click(i));
  };
  if (live) model.on("change:answered", refresh);
  if (live) model.on("change:clicked", theirs);
  if (live) model.on("change:message", said);
  const sized = new ResizeObserver(() => {
    if (!found.length || Math.abs(svg.clientWidth - width) < 8 || !svg.clientWidth) return;
    places.clear();
    draw();
  });
  sized.observe(svg);
  refresh();
  return () => {
    sized.disconnect();
    if (live) model.off("change:answered", refresh);
    if (live) model.off("change:clicked", theirs);
    if (live) model.off("change:message", said);
  };
}

export default { render };
