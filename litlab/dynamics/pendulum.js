// A double pendulum and a model of it, side by side. All of it runs here: both are computed
// ahead for `setup.seconds`, each time that a start or a model is chosen, and playing moves
// a cursor over what is known. Python, if it is there, only hears which start was chosen.

// ---- physics: states are [theta1, theta2, omega1, omega2] in rad and rad/s

export function rates(system, y, out) {
  const { m1, m2, l1, l2, g } = system, a = y[0], b = y[1], u = y[2], v = y[3];
  const s = Math.sin(a - b), c = Math.cos(a - b), both = m1 + m2;
  const m11 = both * l1 * l1, m12 = m2 * l1 * l2 * c, m22 = m2 * l2 * l2;
  const r1 = -m2 * l1 * l2 * v * v * s - both * g * l1 * Math.sin(a);
  const r2 = m2 * l1 * l2 * u * u * s - m2 * g * l2 * Math.sin(b);
  const determinant = m11 * m22 - m12 * m12;
  out[0] = u;
  out[1] = v;
  out[2] = (m22 * r1 - m12 * r2) / determinant;
  out[3] = (m11 * r2 - m12 * r1) / determinant;
  return out;
}

export function energy(system, [a, b, u, v]) {  // J
  const { m1, m2, l1, l2, g } = system, both = m1 + m2;
  return both * l1 * l1 * u * u / 2 + m2 * l2 * l2 * v * v / 2 +
    m2 * l1 * l2 * u * v * Math.cos(a - b) -
    both * g * l1 * Math.cos(a) - m2 * g * l2 * Math.cos(b);
}

export const RK4 = { a: [[], [0.5], [0, 0.5], [0, 0, 1]], b: [1 / 6, 1 / 3, 1 / 3, 1 / 6] };

export function stepper(system, { a, b }, h) {  // y -> y one step later, in place
  const k = b.map(() => new Float64Array(4)), now = new Float64Array(4);
  const add = (y, weights, out) => {
    for (let i = 0; i < 4; i++) {
      let sum = 0;
      for (let j = 0; j < weights.length; j++) sum += weights[j] * k[j][i];
      out[i] = y[i] + h * sum;
    }
    return out;
  };
  return y => {
    for (let j = 0; j < b.length; j++) rates(system, add(y, a[j], now), k[j]);
    return add(y, b, y);
  };
}

export function flow(system, tableau, start, n, dt, step) {  // n + 1 states, dt apart
  const times = Math.max(1, Math.round(dt / step)), y = Float64Array.from(start);
  const next = stepper(system, tableau, dt / times), states = [Array.from(y)];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < times; j++) next(y);
    states.push(Array.from(y));
  }
  return states;
}

// ---- the models

const silu = x => x / (1 + Math.exp(-x));

export function network(stored) {  // y -> y `stored.dt` later: y + change(features)
  const { shift, scale, change } = stored, last = stored.layers.length - 1;
  const layers = stored.layers.map(({ weight, bias }) => ({ bias,
    rows: weight.map(row => Float64Array.from(row)), out: new Float64Array(bias.length) }));
  return ([a, b, u, v]) => {
    let x = [Math.sin(a), Math.cos(a), Math.sin(b), Math.cos(b), u, v];
    x = Float64Array.from(x, (value, i) => (value - shift[i]) / scale[i]);
    layers.forEach(({ rows, bias, out }, depth) => {
      for (let i = 0; i < rows.length; i++) {
        const row = rows[i];
        let sum = bias[i];
        for (let j = 0; j < row.length; j++) sum += row[j] * x[j];
        out[i] = depth === last ? sum : silu(sum);
      }
      x = out;
    });
    return [a, b, u, v].map((value, i) => value + change[i] * x[i]);
  };
}

const inside = y => y.every(Number.isFinite) && Math.max(Math.abs(y[2]), Math.abs(y[3])) <= 100;

export function predict(setup, name, start, shift) {  // as many states as `truth`
  const { system, tableau, dt, step, seconds } = setup, n = Math.round(seconds / dt);
  if (name === "network") {
    const next = network(setup.network), states = [start];
    while (states.length <= n) states.push(next(states[states.length - 1]));
    return states;
  }
  if (name === "coarse") return flow(system, RK4, start, n, dt, dt);
  const [a, b, u, v] = start;
  return flow(system, tableau, [a + shift, b + shift, u, v], n, dt, step);
}

export function separation(one, other, scale) {  // root mean square of six numbers
  const pairs = [0, 1].flatMap(i => [
    Math.sin(one[i]) - Math.sin(other[i]), Math.cos(one[i]) - Math.cos(other[i])]);
  const six = [...pairs, one[2] - other[2], one[3] - other[3]];
  return Math.sqrt(six.reduce((sum, d, i) => sum + (d / scale[i]) ** 2, 0) / 6);
}

export function compare(setup, theta1, theta2, name, shift) {  // angles in degrees
  const { system, tableau, dt, true_step, seconds, scale, threshold } = setup;
  const start = [theta1 * Math.PI / 180, theta2 * Math.PI / 180, 0, 0];
  const truth = flow(system, tableau, start, Math.round(seconds / dt), dt, true_step);
  let guess = predict(setup, name, start, shift);
  const lost = guess.findIndex(y => !inside(y));
  if (lost >= 0) guess = guess.slice(0, lost);
  const apart = guess.map((y, i) => separation(y, truth[i], scale));
  const over = apart.findIndex(d => d > threshold);
  const at = over >= 0 ? over : lost;
  return {
    truth, guess, apart, lost: lost >= 0 ? lost * dt : null, valid: at >= 0 ? at * dt : null,
    energies: [truth, guess].map(path => path.map(y => energy(system, y))),
  };
}

export function* lyapunov(setup, theta1, theta2) {  // Benettin's method; the last is it, 1/s
  const { system, tableau, step: h, measured: seconds } = setup;
  const every = Math.round(0.5 / h), tiny = 1e-7, next = stepper(system, tableau, h);
  const y = Float64Array.of(theta1 * Math.PI / 180, theta2 * Math.PI / 180, 0, 0);
  const z = y.map(value => value + tiny / 2), rounds = Math.round(seconds / (every * h));
  let sum = 0;
  for (let i = 0; i < rounds; i++) {
    for (let j = 0; j < every; j++) {
      next(y);
      next(z);
    }
    const far = Math.hypot(...z.map((value, k) => value - y[k]));
    sum += Math.log(far / tiny);
    for (let k = 0; k < 4; k++) z[k] = y[k] + (z[k] - y[k]) * tiny / far;
    yield sum / ((i + 1) * every * h);
  }
}

// between two stored states: angles by cubic Hermite, since their slopes are known
export function between(path, dt, t) {
  const i = Math.min(Math.max(0, Math.floor(t / dt)), path.length - 1);
  const p = path[i], q = path[Math.min(i + 1, path.length - 1)];
  const s = Math.min(1, Math.max(0, t / dt - i)), r = 1 - s;
  const angle = k => p[k] * r * r * (1 + 2 * s) + q[k] * s * s * (3 - 2 * s) +
    dt * s * r * (p[k + 2] * r - q[k + 2] * s);
  return [angle(0), angle(1)];
}

// ---- the page

const STYLE = `
.lab-pendulum { font: 14px/1.4 system-ui, sans-serif; color: inherit; max-width: 720px;
  transition: color 10ms; }
.lab-pendulum .controls { display: flex; flex-wrap: wrap; gap: .4em 1.2em;
  align-items: center; margin: .3em 0; }
.lab-pendulum label, .lab-pendulum .angle { display: flex; align-items: center; gap: .4em; }
.lab-pendulum .grow { flex: 1 1 14em; }
.lab-pendulum .grow input { flex: 1; min-width: 6em; }
.lab-pendulum select, .lab-pendulum button, .lab-pendulum input[type=number] { font: inherit;
  color: inherit; background: transparent; border: 1px solid #7d7d7d; border-radius: 4px;
  padding: .15em .5em; }
.lab-pendulum button { min-width: 5em; cursor: pointer; }
.lab-pendulum input[type=number] { width: 4.6em; }
.lab-pendulum input[type=range] { accent-color: #2b7bba; }
.lab-pendulum option { color: #111; background: #fff; }
.lab-pendulum :disabled { border-style: dashed; opacity: .7; }
.lab-pendulum :focus-visible { outline: 2px solid #2b7bba; outline-offset: 2px; }
.lab-pendulum .pair { display: grid; gap: .5em; margin: .4em 0;
  grid-template-columns: repeat(auto-fit, minmax(var(--least), 1fr)); }
.lab-pendulum .pair > * { width: 100%; min-width: 0; box-sizing: border-box; }
.lab-pendulum .stages { --least: 150px; }
.lab-pendulum .plots { --least: 250px; }
.lab-pendulum .stage { aspect-ratio: 1; max-height: 320px; cursor: grab;
  border: 1px solid #7d7d7d66; border-radius: 6px; }
.lab-pendulum .plot { height: 180px; }
.lab-pendulum .facts, .lab-pendulum .now { font-variant-numeric: tabular-nums; }
.lab-pendulum .now, .lab-pendulum .hint { font-size: .9em; opacity: .9; }
.lab-pendulum .message { border-left: 3px solid #d55e00; padding-left: .6em; }
.lab-pendulum .message:empty { display: none; }`;

const TRUE = "#2b7bba", MODEL = "#c77800", GREY = "#7d7d7d", MARK = "#d55e00";
const TRACE = 3;  // seconds of a bob's way that are drawn
const HINT = "Drag a bob, or use the arrow keys on a pendulum: \u2190 \u2192 turn the upper " +
  "rod, \u2191 \u2193 the lower one; the space bar plays and pauses.";
const LETTERS = { theta1: "\u03b81", theta2: "\u03b82" };
const WORDS = { network: "network", perturbed: "exact, start moved", coarse: "coarse steps" };

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  Object.assign(element, properties);
  element.append(...children);
  return element;
}

function labelled(text, control) {
  control.setAttribute("aria-label", text);
  return make("label", {}, text, control);
}

const number = (x, digits = 3) =>
  (x < 0 ? "\u2212" : "") + Number(Math.abs(x).toPrecision(digits)).toString();
const wrap = degrees => {  // to (-180, 180], a tenth of a degree
  const d = Math.round(10 * (degrees - 360 * Math.round(degrees / 360))) / 10;
  return d <= -180 ? 180 : d === 0 ? 0 : d;
};

function surface(canvas) {  // a clean drawing area in CSS pixels
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 340, height = canvas.clientHeight || 200;
  if (canvas.width !== Math.round(width * ratio) ||
      canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, sans-serif";
  return { pen, width, height };
}

function line(pen, points, colour, thick = 2, alpha = 1, dash = []) {
  if (!points.length) return;
  pen.save();
  Object.assign(pen, { strokeStyle: colour, lineWidth: thick, globalAlpha: alpha,
    lineJoin: "round", lineCap: "round" });
  pen.setLineDash(dash);
  pen.beginPath();
  points.forEach(([x, y], i) => i ? pen.lineTo(x, y) : pen.moveTo(x, y));
  pen.stroke();
  pen.restore();
}

function bobs({ l1, l2 }, [a, b], { x, y, unit }) {  // pixels of pivot and both bobs
  const x1 = x + unit * l1 * Math.sin(a), y1 = y + unit * l1 * Math.cos(a);
  return [[x, y], [x1, y1], [x1 + unit * l2 * Math.sin(b), y1 + unit * l2 * Math.cos(b)]];
}

function frame_of(system, width, height) {  // the pivot in the middle, all reachable
  const reach = system.l1 + system.l2;
  return { x: width / 2, y: height / 2 + 4, unit: (Math.min(width, height) / 2 - 18) / reach };
}

function draw_pendulum(canvas, setup, path, t, colour, ink, title, ghost) {
  const { pen, width, height } = surface(canvas), { system, dt } = setup;
  const place = frame_of(system, width, height);
  const last = dt * (path.length - 1), now = Math.min(t, last), trace = [];
  for (let s = Math.max(0, now - TRACE); s < now; s += dt / 3) trace.push(s);
  const dots = [...trace, now].map(s => bobs(system, between(path, dt, s), place)[2]);
  const part = Math.ceil(dots.length / 6) || 1;
  for (let i = 0; i < dots.length - 1; i += part) {  // paler with age
    line(pen, dots.slice(i, i + part + 1), colour, 1.5, 0.15 + 0.85 * i / dots.length);
  }
  if (ghost) line(pen, bobs(system, between(ghost, dt, t), place), GREY, 1.5, 0.8, [4, 4]);
  const points = bobs(system, between(path, dt, now), place);
  line(pen, points, ink, 2.5, t > last ? 0.3 : 1);
  pen.fillStyle = ink;
  pen.fillText(title, 4, 14);
  points.forEach(([x, y], i) => {
    const mass = i ? system["m" + i] : 0;
    pen.beginPath();
    pen.arc(x, y, i ? 6 + 3 * Math.cbrt(mass) : 3, 0, 7);
    pen.fillStyle = i ? colour : ink;
    pen.globalAlpha = t > last ? 0.3 : 1;
    pen.fill();
    pen.globalAlpha = 1;
  });
}

function axes(canvas, ink, seconds, [low, high], title, ticks, text) {
  const { pen, width, height } = surface(canvas);
  const left = 44, right = width - 8, top = 22, bottom = height - 32;
  const x = t => left + (right - left) * t / seconds;
  const y = v => bottom - (bottom - top) * (Math.min(high, Math.max(low, v)) - low) /
    (high - low);
  pen.fillStyle = ink;
  pen.fillText(title, 4, 12);
  pen.textAlign = "right";
  for (const v of ticks) {
    line(pen, [[left, y(v)], [right, y(v)]], GREY, 1, 0.3);
    pen.fillText(text(v), left - 4, y(v) + 4);
  }
  pen.textAlign = "center";
  const every = seconds > 40 ? 20 : seconds > 12 ? 5 : 1;
  for (let t = 0; t <= seconds; t += every) pen.fillText(t, x(t), bottom + 14);
  pen.fillText("time in s", (left + right) / 2, height - 4);
  pen.textAlign = "left";
  line(pen, [[left, top], [left, bottom], [right, bottom]], GREY, 1);
  return { pen, x, y, top, bottom, right, left };
}

function curve(plot, values, dt, upto, colour, thick) {  // pale ahead of the cursor
  const points = values.map((v, i) => [plot.x(i * dt), plot.y(v)]);
  line(plot.pen, points, colour, thick, 0.5);
  line(plot.pen, points.slice(0, Math.floor(upto / dt + 1e-9) + 1), colour, thick);
}

function draw_separation(canvas, setup, found, t, ink, lambda) {
  const { dt, seconds, threshold } = setup, log = Math.log10;
  const least = Math.min(...found.apart.filter(d => d > 0), 0.1);
  const low = Math.max(-12, Math.floor(log(least))), ticks = [];
  for (let e = low; e <= 1; e += Math.ceil((1 - low) / 5)) ticks.push(e);
  const plot = axes(canvas, ink, seconds, [low, 1], `separation, on a log scale; dashed: ${threshold}`, ticks,
    e => e < -2 ? `1e\u2212${-e}` : Number(`1e${e}`));
  const { pen, x, y } = plot;
  line(pen, [[plot.left, y(log(threshold))], [plot.right, y(log(threshold))]], MARK, 1, 1,
    [5, 4]);
  curve(plot, found.apart.map(d => log(Math.max(d, 1e-12))), dt, t, MODEL, 2);
  pen.fillStyle = ink;
  if (found.valid !== null) {
    const late = found.valid > seconds / 2;
    pen.textAlign = late ? "right" : "left";
    pen.fillText(`diverges at ${found.valid.toFixed(2)} s`,
      x(found.valid) + (late ? -6 : 6), plot.top + 6);
    pen.textAlign = "left";
  }
  if (lambda > 0.1) {  // a ruler of one Lyapunov time, on which errors grow e-fold
    const end = x(Math.min(seconds, 1 / lambda)), base = plot.bottom - 6;
    line(pen, [[plot.left + 3, base - 4], [plot.left + 3, base], [end + 3, base],
      [end + 3, base - 4]], ink, 1.5);
    pen.fillText("Lyapunov time", end + 8, base + 2);
  }
  mark(plot, found, ink, t, 20);
}

function mark(plot, found, ink, t, above = 0) {  // the cursor, and the moment of divergence
  const { pen, x, top, bottom } = plot, at = x(found.valid);
  if (found.valid !== null) line(pen, [[at, top], [at, bottom - above]], MARK, 2);
  line(pen, [[x(t), top], [x(t), bottom]], ink, 1, 0.8);
}

function draw_energy(canvas, setup, found, t, ink) {
  const [truth, guess] = found.energies, { dt, seconds, system } = setup;
  const scale = system.g * ((system.m1 + system.m2) * system.l1 + system.m2 * system.l2);
  const reach = Math.min(2 * scale, Math.max(scale / 20, ...guess.map(
    e => Math.abs(e - truth[0])))) * 1.15;
  const middle = truth[0], ticks = [], rough = reach / 1.5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const every = [1, 2, 5, 10].map(k => k * power).filter(v => v <= rough).pop();
  for (let k = Math.ceil((middle - reach) / every); k * every <= middle + reach; k++) {
    ticks.push(k * every);
  }
  const plot = axes(canvas, ink, seconds, [middle - reach, middle + reach], "energy in J",
    ticks, v => number(v));
  let at = 4 + plot.pen.measureText("energy in J").width;
  for (const [word, colour] of [["true", TRUE], ["model", MODEL]]) {
    at += 12;
    line(plot.pen, [[at, 8], [at + 16, 8]], colour, 3);
    plot.pen.fillStyle = ink;
    plot.pen.fillText(word, at + 21, 12);
    at += 21 + plot.pen.measureText(word).width;
  }
  curve(plot, truth, dt, t, TRUE, 2.5);
  curve(plot, guess, dt, t, MODEL, 1.5);
  mark(plot, found, ink, t);
}

function sentence(setup, found, name, lambda) {
  const { seconds } = setup, regular = lambda !== null && lambda <= 0.1;
  const times = lambda > 0.1 && found.valid !== null
    ? ` = ${number(found.valid * lambda, 2)} Lyapunov times` : "";
  const held = found.valid === null
    ? `The model holds for all ${seconds} s.`
    : `The model diverges at ${found.valid.toFixed(2)} s${times}` +
      (found.lost === null ? "." : `; it left the domain at ${found.lost.toFixed(2)} s.`);
  const over = found.named ? `exponent ${number(lambda, 2)}/s, a mean over many paths`
    : `exponent about ${number(lambda, 2)}/s, of one path of ${setup.measured} s`;
  const chaos = lambda === null ? "Lyapunov time: being measured."
    : regular ? `No chaos seen from this start (${over}).`
      : `Lyapunov time ${number(1 / lambda, 2)} s (${over}).`;
  const [truth, guess] = found.energies, off = Math.max(...guess.map(
    e => Math.abs(e - truth[0])));
  return `${held} ${chaos} Its energy is off by at most ${number(off, 2)} J.`;
}

function render({ model, el }) {
  const setup = model.get("setup"), { system, dt, seconds, models, cases, shifts } = setup;
  let t = Math.min(Math.max(0, model.get("time")), seconds), playing = false, found, lambda;
  let measuring = null, alive = true, last = null, frames = 0, count = 0, since = null;
  const measured = new Map();  // exponents of starts that were seen

  const stages = ["true pendulum", "model"].map(text => {
    const canvas = make("canvas", { className: "stage", tabIndex: 0 });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-roledescription", "pendulum");
    return canvas;
  });
  const plots = ["separation", "energy"].map(text => {
    const canvas = make("canvas", { className: "plot plot-" + text });
    canvas.setAttribute("role", "img");
    return canvas;
  });
  const facts = make("output", { className: "facts" });
  facts.setAttribute("aria-live", "polite");
  const now = make("div", { className: "now" });
  const counter = make("span", { className: "frames" });
  const message = make("div", { className: "message" });
  message.setAttribute("role", "alert");

  const angle = name => {
    const slide = make("input", { type: "range", className: "slide-" + name, min: -180,
      max: 180, step: 1 });
    const box = make("input", { type: "number", className: "type-" + name, min: -180,
      max: 180, step: 0.1 });
    box.setAttribute("aria-label", `${name} in degrees, as a number`);
    slide.oninput = () => start({ [name]: +slide.value });
    slide.onchange = box.onblur = () => model.save_changes();
    box.onchange = box.oninput = () => {
      if (box.value === "" || !Number.isFinite(+box.value)) {
        message.textContent = `${name} must be a finite number of degrees`;
        return;
      }
      start({ [name]: wrap(+box.value) });
    };
    const label = labelled(`${name} in degrees`, slide);
    label.firstChild.textContent = `${LETTERS[name]} in \u00b0`;
    return { name, slide, box, label };
  };
  const angles = [angle("theta1"), angle("theta2")];
  const pick = (className, texts, changed) => {
    const select = make("select", { className });
    texts.forEach((text, i) => select.append(make("option", { value: i, textContent: text })));
    select.onchange = () => {
      changed(+select.value);
      model.save_changes();
    };
    return select;
  };
  const names = Object.keys(cases).sort(), own = names.length;
  const pick_case = pick("pick-case", [...names.map(
    name => `${name} (${cases[name].join(", ")})`), "your own"], i => i < own && start({
    theta1: cases[names[i]][0], theta2: cases[names[i]][1] }));
  const pick_model = pick("pick-model", models.map(name => WORDS[name] || name),
    i => start({ model: models[i] }));
  const pick_shift = pick("pick-shift", shifts.map(s => `${s.toExponential()} rad`),
    i => start({ shift: shifts[i] }));
  const play = make("button", { type: "button", className: "play" });
  const reset = make("button", { type: "button", className: "reset", textContent: "Reset" });
  const clock = make("input", { type: "range", className: "clock", min: 0, max: seconds,
    step: dt });
  const time = labelled("time", clock);
  time.className = "grow";
  play.onclick = () => playing ? pause() : run();
  reset.onclick = () => {
    pause();
    seek(0);
  };
  clock.oninput = () => {
    pause();
    seek(+clock.value);
  };

  // ---- what changes

  let ours = false;
  function put(values) {  // without hearing of it as a change by Python
    ours = true;
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    ours = false;
  }

  function start(changed) {  // another start or model: compute both again, from time 0
    const begun = performance.now();
    message.textContent = "";
    t = 0;
    put({ ...changed, time: 0, message: "" });
    update();
    root.dataset.answerMs = (performance.now() - begun).toFixed(1);
  }

  function update() {  // follow the model's start
    const [theta1, theta2] = ["theta1", "theta2"].map(name => model.get(name));
    const key = `${theta1} ${theta2}`;
    found = compare(setup, theta1, theta2, model.get("model"), model.get("shift"));
    const at = Object.keys(cases).find(
      name => cases[name][0] === theta1 && cases[name][1] === theta2);
    found.named = at !== undefined;
    lambda = found.named ? setup.exponents[at] : measured.has(key) ? measured.get(key) : null;
    measuring = lambda === null ? { key, rest: lyapunov(setup, theta1, theta2) } : null;
    controls();
    say();
    draw();
    wake();
  }

  function controls() {  // the controls show what is so
    const values = angles.map(({ name }) => model.get(name));
    angles.forEach(({ slide, box, name }, i) => {
      slide.value = values[i];
      slide.setAttribute("aria-valuetext", `${number(values[i], 4)} degrees`);
      if (document.activeElement !== box || +box.value !== values[i]) box.value = values[i];
    });
    const at = names.findIndex(name => cases[name].every((v, i) => v === values[i]));
    pick_case.value = at < 0 ? own : at;
    pick_model.value = models.indexOf(model.get("model"));
    pick_shift.value = shifts.indexOf(model.get("shift"));
    pick_shift.disabled = model.get("model") !== "perturbed";
    play.textContent = playing ? "Pause" : "Play";
  }

  function say() {
    const name = model.get("model");
    facts.textContent = sentence(setup, found, name, lambda);
    root.dataset.valid = found.valid === null ? "" : found.valid.toFixed(2);
    root.dataset.lyapunov = lambda === null ? "" : lambda.toFixed(4);
    stages.forEach((canvas, i) => canvas.setAttribute("aria-label",
      `${i ? `model: ${WORDS[name] || name}` : "true pendulum"}, started at ` +
      `${model.get("theta1")} and ${model.get("theta2")} degrees. ${HINT}`));
    plots[0].setAttribute("aria-label", `separation over time, on a log scale. ${facts.textContent}`);
    plots[1].setAttribute("aria-label", "energy over time, of both pendulums");
  }

  function draw() {
    const ink = getComputedStyle(root).color, name = model.get("model");
    const { truth, guess, apart, energies } = found, i = Math.round(t / dt);
    draw_pendulum(stages[0], setup, truth, t, TRUE, ink, "true pendulum");
    draw_pendulum(stages[1], setup, guess, t, MODEL, ink,
      `model: ${WORDS[name] || name}`, truth);
    draw_separation(plots[0], setup, found, t, ink, lambda);
    draw_energy(plots[1], setup, found, t, ink);
    const has = i < guess.length;
    now.firstChild.textContent = `t = ${t.toFixed(2)} s; separation ` +
      (has ? number(apart[i], 2) : "none: the model has failed") +
      `; energy ${number(energies[0][i], 4)} J, model ` +
      (has ? `${number(energies[1][i], 4)} J. ` : "none. ");
    clock.value = t;
    clock.setAttribute("aria-valuetext", `${t.toFixed(1)} seconds`);
    root.dataset.time = t.toFixed(3);
  }

  function seek(moment) {
    t = Math.min(seconds, Math.max(0, moment));
    draw();
    keep();
  }

  function keep() {  // a moment that a notebook may come back to
    put({ time: t });
    model.save_changes();
  }

  function run() {
    if (t >= seconds) t = 0;
    playing = true;
    last = since = null;
    count = 0;
    controls();
    wake();
  }

  function pause() {
    if (!playing) return;
    playing = false;
    controls();
    keep();
  }

  // ---- the frames: only while something moves or is being measured

  let waiting = false;
  function wake() {
    if (waiting || !alive) return;
    waiting = true;
    requestAnimationFrame(tick);
  }

  function tick(moment) {
    waiting = false;
    if (!alive) return;
    if (measuring) measure();
    if (playing) {
      t = Math.min(seconds, t + (last === null ? 0 : Math.min(0.1, (moment - last) / 1000)));
      last = moment;
      draw();
      rate(moment);
      if (t >= seconds) pause();
    }
    if (playing || measuring) wake();
  }

  function measure() {  // a few milliseconds of the exponent in each frame
    const until = performance.now() + 6;
    while (performance.now() < until) {
      for (let i = 0; i < 4; i++) {
        const { value, done } = measuring.rest.next();
        if (!done) measuring.value = value;
        else {
          lambda = measuring.value;
          measured.set(measuring.key, lambda);
          measuring = null;
          say();
          draw();
          return;
        }
      }
    }
  }

  function rate(moment) {
    root.dataset.frames = ++frames;
    since ??= moment;
    count++;
    if (moment - since < 500) return;
    const fps = (count - 1) * 1000 / (moment - since);
    counter.textContent = `${fps.toFixed(0)} frames a second.`;
    root.dataset.fps = fps.toFixed(1);
    since = moment;
    count = 1;
  }

  // ---- bobs that can be dragged, keys

  const held = (canvas, event) => {  // 1 or 2: the bob under the pointer, 0 for none
    const box = canvas.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    const path = canvas === stages[0] ? found.truth : found.guess;
    const points = bobs(system, between(path, dt, t), frame_of(system, box.width, box.height));
    const far = points.map(([x, y]) => Math.hypot(x - at[0], y - at[1]));
    return { at, points, bob: Math.min(far[1], far[2]) > 24 ? 0 : far[2] <= far[1] ? 2 : 1 };
  };
  for (const canvas of stages) {
    let bob = 0;
    canvas.addEventListener("touchstart", event => {  // a finger beside the bobs scrolls
      if (held(canvas, event.touches[0]).bob) event.preventDefault();
    }, { passive: false });
    canvas.onpointerdown = event => {
      const taken = held(canvas, event);
      bob = taken.bob;
      if (!bob) return;
      pause();
      if (t > 0) {  // take the pendulum up from where it is
        const [a, b] = between(canvas === stages[0] ? found.truth : found.guess, dt, t);
        start({ theta1: wrap(a * 180 / Math.PI), theta2: wrap(b * 180 / Math.PI) });
      }
      canvas.setPointerCapture(event.pointerId);
      canvas.style.cursor = "grabbing";
    };
    canvas.onpointermove = event => {
      const { at, points } = held(canvas, event);
      if (!bob) return;
      const [x, y] = points[bob - 1];
      start({ ["theta" + bob]: wrap(Math.atan2(at[0] - x, at[1] - y) * 180 / Math.PI) });
    };
    canvas.onpointerup = canvas.onpointercancel = () => {
      if (bob) model.save_changes();
      bob = 0;
      canvas.style.cursor = "";
    };
    canvas.onkeydown = event => {
      const turn = { ArrowLeft: ["theta1", -1], ArrowRight: ["theta1", 1],
        ArrowDown: ["theta2", -1], ArrowUp: ["theta2", 1] }[event.key];
      if (turn) {
        pause();
        start({ [turn[0]]: wrap(model.get(turn[0]) + turn[1]) });
        model.save_changes();
      } else if (event.key === " ") play.onclick();
      else return;
      event.preventDefault();
    };
  }

  now.append(document.createTextNode(""), counter);
  const root = make("div", { className: "lab-pendulum" },
    make("style", { textContent: STYLE }),
    make("div", { className: "controls" }, ...angles.map(({ label, box }) =>
      make("span", { className: "angle" }, label, box))),
    make("div", { className: "controls" }, labelled("start", pick_case),
      labelled("model", pick_model), labelled("moved by", pick_shift)),
    make("div", { className: "controls" }, play, reset, time),
    message, make("div", { className: "pair stages" }, ...stages),
    make("div", { className: "pair plots" }, ...plots), facts, now, make("div", { className: "hint", textContent: HINT }));
  root.dataset.lmSuppressShortcuts = "true";  // JupyterLab leaves the keys to us ...
  root.onkeydown = event => {  // ... all of them
    if (/^(Arrow|Home|End|Page| |Enter)/.test(event.key)) event.stopPropagation();
  };
  root.dataset.frames = 0;
  el.replaceChildren(root);

  const theirs = () => {  // Python changed something
    if (ours) return;
    playing = false;
    t = Math.min(seconds, Math.max(0, model.get("time")));
    update();
  };
  const watched = ["theta1", "theta2", "model", "shift", "time"].map(name => "change:" + name);
  const said = () => { message.textContent = model.get("message"); };
  const live = model.get("live");
  if (live) watched.forEach(event => model.on(event, theirs));
  if (live) model.on("change:message", said);
  const sized = new ResizeObserver(() => found && draw());
  [...stages, ...plots].forEach(canvas => sized.observe(canvas));
  root.ontransitionend = event => event.target === root && draw();  // another theme
  update();
  said();
  return () => {
    alive = false;
    sized.disconnect();
    if (live) watched.forEach(event => model.off(event, theirs));
    if (live) model.off("change:message", said);
  };
}

export default { render };
