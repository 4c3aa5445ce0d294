// Bars of attributions with their controls. With a kernel (model.get("live")) a change
// is sent and Python answers with `result` or `message`; without one the answer is
// looked up in `table`, which holds [attributions, delta, change] for each choice.

const STYLE = `
.lab-attribution { font: 14px/1.4 system-ui, sans-serif; color: inherit; max-width: 640px; }
.lab-attribution .controls { display: flex; flex-wrap: wrap; gap: .5em 1.2em; }
.lab-attribution label { display: flex; align-items: center; gap: .4em; }
.lab-attribution select, .lab-attribution input[type=number] { font: inherit;
  color: inherit; background: transparent; border: 1px solid #7d7d7d; border-radius: 4px;
  padding: .15em .3em; }
.lab-attribution input[type=number] { width: 5em; }
.lab-attribution option { color: #111; background: #fff; }
.lab-attribution :focus-visible { outline: 2px solid #2b7bba; outline-offset: 2px; }
.lab-attribution svg { display: block; width: 100%; height: auto; margin: .6em 0; }
.lab-attribution text { fill: currentColor; font-size: 13px; }
.lab-attribution rect { transition: x .15s, width .15s; }
.lab-attribution .stale { opacity: .3; }
.lab-attribution .sum { font-variant-numeric: tabular-nums; }
.lab-attribution .message { border-left: 3px solid #d55e00; padding-left: .6em; }
.lab-attribution .message:empty { display: none; }
@media (prefers-reduced-motion: reduce) { .lab-attribution rect { transition: none; } }`;

const POSITIVE = "#2b7bba", NEGATIVE = "#c77800";
const WIDTH = 600, RIGHT = 80, ROW = 28, LETTER = 7.5;  // pixels

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

function draw(tag, attributes, text) {
  const namespace = make("div", { innerHTML: "<svg></svg>" }).firstChild.namespaceURI;
  const element = document.createElementNS(namespace, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const number = (x, digits = 3) =>
  (x < 0 ? "\u2212" : "") + Math.abs(x).toPrecision(digits);

function labelled(text, control) {
  return make("label", {}, text, control);
}

function chooser(name, options, value, changed) {
  const select = make("select", { className: "pick-" + name });
  options.forEach((text, i) => select.append(make("option", { value: i, textContent: text })));
  select.value = value;
  select.onchange = () => changed(+select.value);
  return select;
}

function render({ model, el }) {
  const choices = model.get("choices"), table = model.get("table"), live = model.get("live");
  const { names, samples, baselines, methods, steps, values } = choices;

  // room for the longest name with a value behind it
  const short = names.map(name => name.length > 24 ? name.slice(0, 23) + "\u2026" : name);
  const left = LETTER * (Math.max(...short.map(name => name.length)) + 10);

  // position of one choice in the table
  const entry = (s, b, m, k) =>
    table[((s * baselines.length + b) * methods.length + m) * steps.length + k];
  const nearest = n => steps.reduce(
    (best, v, i) => Math.abs(v - n) < Math.abs(steps[best] - n) ? i : best, 0);
  const position = (list, value) => Math.max(0, list.indexOf(value));

  const bars = draw("svg", { viewBox: `0 0 ${WIDTH} ${names.length * ROW + 8}`, role: "img" });
  const rows = names.map((_, i) => {
    const y = i * ROW + 4;
    const row = {
      name: draw("text", { x: left - 10, y: y + 15, "text-anchor": "end" }),
      bar: draw("rect", { y, height: ROW - 8, x: 0, width: 0, class: "bar" }),
      value: draw("text", { y: y + 15, x: WIDTH - 4, "text-anchor": "end", class: "value" }),
    };
    bars.append(row.name, row.bar, row.value);
    return row;
  });
  const zero = draw("path", { stroke: "#7d7d7d", "stroke-width": 1.5 });
  bars.append(zero);
  const sum = make("output", { className: "sum" });
  sum.setAttribute("aria-live", "polite");
  const message = make("div", { className: "message" });
  message.setAttribute("role", "alert");

  function scale(sample, baseline) {  // the same for all methods; rough sums are cut
    let low = 0, high = 0;
    for (let m = 0; m < methods.length; m++) {
      for (let k = nearest(10); k < steps.length; k++) {
        const found = entry(sample, baseline, m, k)[0];
        low = Math.min(low, ...found);
        high = Math.max(high, ...found);
      }
    }
    const span = high - low || 1, right = WIDTH - RIGHT;
    const place = v => left + (right - left) * (v - low) / span;
    return v => Math.min(right, Math.max(left, place(v)));
  }

  function show(result) {
    const { sample, baseline, attributions, delta, change } = result;
    const x = scale(sample, baseline), origin = x(0);
    attributions.forEach((a, i) => {
      const { name, bar, value } = rows[i];
      name.textContent = `${short[i]} = ${number(values[sample][i])}`;
      bar.setAttribute("x", Math.min(origin, x(a)));
      bar.setAttribute("width", Math.abs(x(a) - origin));
      bar.setAttribute("fill", a < 0 ? NEGATIVE : POSITIVE);
      value.textContent = number(a);
    });
    zero.setAttribute("d", `M${origin} 0V${names.length * ROW + 8}`);
    bars.setAttribute("aria-label", names.map(
      (name, i) => `${name} ${number(attributions[i])}`).join(", "));
    const total = attributions.reduce((a, b) => a + b, 0);
    sum.textContent = `sum ${number(total, 4)}, change of the output ${number(change, 4)}, ` +
      `delta ${number(delta, 3)} at ${result.n_steps} steps`;
  }

  function look_up() {
    const sample = model.get("sample"), b = position(baselines, model.get("baseline"));
    const m = position(methods, model.get("method")), k = nearest(model.get("n_steps"));
    const [attributions, delta, change] = entry(sample, b, m, k);
    return { sample, baseline: b, n_steps: steps[k], attributions, delta, change };
  }

  function refresh() {
    const problem = live ? model.get("message") : "";
    message.textContent = problem;
    bars.classList.toggle("stale", Boolean(problem));
    sum.classList.toggle("stale", Boolean(problem));
    if (!problem) show(live ? model.get("result") : look_up());
    follow();
  }

  function change(name, value) {
    model.set(name, value);
    model.save_changes();
    if (!live) refresh();
  }

  const pick = {
    sample: chooser("sample", samples, 0, i => change("sample", i)),
    baseline: chooser("baseline", baselines, 0, i => change("baseline", baselines[i])),
    method: chooser("method", methods, 0, i => change("method", methods[i])),
    slider: make("input", { type: "range", className: "pick-steps",
      min: 0, max: steps.length - 1, step: 1 }),
    count: make("input", { type: "number", className: "type-steps", min: 2, step: 1 }),
  };
  const readout = make("output", { className: "steps" });
  pick.slider.oninput = () => change("n_steps", steps[+pick.slider.value]);
  let waiting;
  const counted = () => {
    clearTimeout(waiting);
    change("n_steps", Number(pick.count.value));
  };
  pick.count.onchange = counted;
  pick.count.oninput = () => {  // a notebook may keep Enter to itself
    clearTimeout(waiting);
    waiting = setTimeout(counted, 500);
  };
  pick.count.setAttribute("aria-label", "n_steps as a number");

  function follow() {  // the controls show what the model holds
    const n = model.get("n_steps");
    pick.sample.value = model.get("sample");
    pick.baseline.value = position(baselines, model.get("baseline"));
    pick.method.value = position(methods, model.get("method"));
    pick.slider.value = nearest(n);
    pick.slider.setAttribute("aria-valuetext", `${n} steps`);
    if (document.activeElement !== pick.count) pick.count.value = n;
    readout.textContent = live ? "" : steps[nearest(n)];
  }

  const controls = make("div", { className: "controls" },
    labelled("sample", pick.sample), labelled("baseline", pick.baseline),
    labelled("method", pick.method), labelled("n_steps", pick.slider),
    live ? pick.count : readout);
  el.append(make("div", { className: "lab-attribution" },
    make("style", { textContent: STYLE }), controls, bars, sum, message));
  const watched = ["change:result", "change:message"];
  if (live) watched.forEach(event => model.on(event, refresh));
  refresh();
  return () => { if (live) watched.forEach(event => model.off(event, refresh)); };
}

export default { render };
