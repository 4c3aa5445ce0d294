// A molecule with its explanation and controls. With a kernel (model.get("live")) a change
// is sent and Python answers with `result` or `message`, then counts `answered` up; without
// one the answer is looked up in `table`, whose drawings are numbers of lines of SVG.

const STYLE = `
.lab-molecule { font: 14px/1.4 system-ui, sans-serif; color: inherit; max-width: 680px; }
.lab-molecule .controls { display: flex; flex-wrap: wrap; gap: .5em 1.2em; }
.lab-molecule label { display: flex; align-items: center; gap: .4em; max-width: 100%; }
.lab-molecule select, .lab-molecule input { font: inherit; color: inherit; min-width: 0;
  background: transparent; border: 1px solid #7d7d7d; border-radius: 4px;
  padding: .15em .3em; max-width: 100%; }
.lab-molecule input[type=number] { width: 5.5em; }
.lab-molecule .type-smiles { width: 17em; font-family: ui-monospace, monospace; }
.lab-molecule option { color: #111; background: #fff; }
.lab-molecule :disabled { border-style: dashed; opacity: .7; }
.lab-molecule :focus-visible { outline: 2px solid #2b7bba; outline-offset: 2px; }
.lab-molecule svg { display: block; max-width: 100%; height: auto; margin: .4em 0; }
.lab-molecule .answer { transition: opacity .15s; }
.lab-molecule .answer.waiting { opacity: .6; }
.lab-molecule .answer.stale { opacity: .3; }
.lab-molecule .facts { display: block; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.lab-molecule .facts > div { margin: .15em 0; }
.lab-molecule .facts .prediction { font-size: 1.1em; }
.lab-molecule .hint { font-size: .9em; opacity: .85; margin: .3em 0; }
.lab-molecule .message { border-left: 3px solid #d55e00; padding-left: .6em;
  margin: .5em 0; overflow-wrap: anywhere; }
.lab-molecule .message:empty, .lab-molecule .hint:empty { display: none; }
@media (prefers-reduced-motion: reduce) { .lab-molecule .answer { transition: none; } }`;

const SEPARATE = "This page holds a few molecules. In a running notebook the same " +
  "figure takes any of them, and a SMILES of your own.";
const CAVEAT = "A lesson on explanation, not a statement about the safety of a substance.";

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

const signs = text => text.replace(/(^|: )-/g, "$1\u2212");  // a minus, not a hyphen
const number = (x, digits = 3) =>
  (x < 0 ? "\u2212" : "") + Math.abs(x).toPrecision(digits);

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

function typed(element, changed) {  // at Enter, or a moment after the last key
  let waiting;
  const now = () => {
    clearTimeout(waiting);
    changed(element.value);
  };
  element.onchange = now;
  element.oninput = () => {  // a notebook may keep Enter to itself
    clearTimeout(waiting);
    waiting = setTimeout(now, 600);
  };
  return element;
}

function sentences(facts, stepped) {
  const { method, prediction, groups } = facts;
  const signless = method === "gnn_explainer", whole = method === "integrated_gradients";
  const lines = {
    prediction: `${prediction}, P(mutagen) = ${facts.probability.toFixed(2)}` +
      (facts.measured ? `; measured: ${facts.measured}` : ""),
    groups: "groups: " + (groups.map(([name, kind, sum]) => name + " " + signs(sum) +
      (kind === "toxicophore" ? " (toxicophore)" : "")).join(", ") || "none is matched"),
    bonds: "largest bonds: " + (facts.bonds.map(signs).join("; ") || "none"),
    sum: signless
      ? `sum ${number(facts.sum, 4)}: this method promises none, at ${facts.n_steps} steps`
      : `sum ${number(facts.sum, 4)}, change of the logit difference ` +
        `${number(facts.change, 4)}, delta ${number(facts.delta)}` +
        (stepped ? ` at ${facts.n_steps} steps` : "") +
        (whole ? "" : "; this method promises no equality"),
    hint: signless
      ? `A wide strip: a bond that is needed for \u201c${prediction}\u201d. There is no sign.`
      : "Blue bonds add to \u201cmutagen\u201d, orange ones take away. Dashed: toxicophores.",
  };
  return Object.entries(lines).map(([name, text]) =>
    make("div", { className: name, textContent: text }));
}

function render({ model, el }) {
  const live = model.get("live"), choices = model.get("choices");
  const { n, methods, stepped, most_steps, examples } = choices;
  const table = live ? null : model.get("table");
  const change = (name, value) => {
    if (model.get(name) === value) return;
    model.set(name, value);
    model.save_changes();
    if (live) answer.classList.add("waiting");
    else refresh();
  };

  const drawing = make("div", { className: "drawing" });
  const facts = make("output", { className: "facts" });
  facts.setAttribute("aria-live", "polite");
  const message = make("div", { className: "message" });
  message.setAttribute("role", "alert");
  const answer = make("div", { className: "answer" }, drawing, facts);

  let last = 0;  // the index that was shown before a SMILES

  // in a page the steps of the present method; else any number
  const here = () => table.entries[model.get("molecule")][model.get("method")];
  const nearest = n => Object.keys(here()).map(Number).reduce(
    (best, v) => Math.abs(v - n) < Math.abs(best - n) ? v : best);

  const smiles = typed(make("input", { type: "text", className: "type-smiles",
    spellcheck: false, autocomplete: "off", disabled: !live,
    placeholder: live ? "such as CCO" : "needs a running notebook" }),
    text => change("molecule", text.trim() || last));
  const index = live
    ? typed(make("input", { type: "number", className: "type-index", min: 0, max: n - 1,
      step: 1 }), text => change("molecule", text === "" ? null : Number(text)))
    : chooser("molecule", examples, i => change("molecule", i));
  const method = chooser("method", methods, i => change("method", methods[i]));
  const steps = live
    ? typed(make("input", { type: "number", className: "type-steps", min: 2,
      max: most_steps, step: 1 }), text => change("n_steps", Number(text)))
    : make("select", { className: "pick-steps",
      onchange: () => change("n_steps", +steps.value) });

  function follow() {  // the controls show what the model holds
    const molecule = model.get("molecule"), name = model.get("method");
    const focused = document.activeElement, own = typeof molecule === "string";
    if (focused !== smiles) smiles.value = own ? molecule : "";
    if (focused !== index) index.value = own ? "" : molecule;
    if (!own && molecule !== null) last = molecule;
    method.value = methods.indexOf(name);
    steps.disabled = !stepped.includes(name);
    steps.title = steps.disabled ? `${name} takes no steps` : "";
    if (!live) steps.replaceChildren(...Object.keys(here()).map(
      v => make("option", { value: v, textContent: v })));
    if (focused !== steps || !live) {
      steps.value = live ? model.get("n_steps") : nearest(model.get("n_steps"));
    }
  }

  function show(found, svg) {
    drawing.innerHTML = svg;
    drawing.firstElementChild?.setAttribute("aria-label",
      `${found.smiles}. Largest bonds: ${found.bonds.join("; ") || "none"}`);
    facts.replaceChildren(...sentences(found, stepped.includes(found.method)));
  }

  function refresh() {
    const problem = live ? model.get("message") : "";
    message.textContent = problem;
    answer.classList.toggle("stale", Boolean(problem));
    answer.classList.remove("waiting");
    follow();
    if (problem) return;
    const found = live ? model.get("result") : here()[nearest(model.get("n_steps"))];
    show(found, live ? found.svg : found.svg.map(i => table.lines[i]).join("\n"));
  }

  const controls = make("div", { className: "controls" },
    labelled("molecule", index), labelled("or SMILES", smiles),
    labelled("method", method), labelled("n_steps", steps));
  el.append(make("div", { className: "lab-molecule" },
    make("style", { textContent: STYLE }), controls,
    make("div", { className: "hint where", textContent: live ? "" : SEPARATE }),
    message, answer, make("div", { className: "hint", textContent: CAVEAT })));
  if (live) model.on("change:answered", refresh);
  refresh();
  return () => { if (live) model.off("change:answered", refresh); };
}

export default { render };
