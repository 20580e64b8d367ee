// Filters while one types, says how many runs are chosen, and follows what is being made. Texts go in as text, never as
// mark-up.
"use strict";

const byId = (id) => document.getElementById(id);
const later = (ms) => new Promise((done) => setTimeout(done, ms));
const ask = async (address) => {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
};
const put = (element, text) => {
  if (element && element.textContent !== text) element.textContent = text;
};

function filter() {
  const field = byId("words");
  const rows = [...document.querySelectorAll("#runs tbody tr")];
  if (!field || rows.length === 0) return;
  const texts = rows.map((row) => row.textContent.toLowerCase());
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, at) => {
      row.hidden = !words.every((word) => texts[at].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    put(byId("shown"), `${shown} of ${byId("changed").dataset.all} runs`);
  });
}

function choose() {
  const form = byId("choose");
  if (!form) return;
  const say = () => {
    const chosen = form.querySelectorAll("input[name=run]:checked").length;
    byId("compare").disabled = chosen < 2;
    put(byId("chosen"), chosen < 2 ? "choose two or more" : `${chosen} chosen`);
  };
  form.addEventListener("change", say);
  // Coming back to a page brings its marks back.
  addEventListener("pageshow", say);
  say();
}

// The list: how far those are that are being made, and whether there are others.
async function watchList() {
  const changed = byId("changed");
  if (!changed) return;
  for (;;) {
    await later(document.hidden ? 10000 : 3000);
    let state;
    try {
      state = await ask("/state.json");
    } catch {
      continue;
    }
    changed.hidden = state.all === Number(changed.dataset.all);
    for (const mark of document.querySelectorAll("[data-live]")) {
      const run = state.being_made.find((run) => run.address === mark.dataset.live);
      put(mark, run ? "being made" : "no longer being made");
      if (run) put(mark.parentElement.querySelector("[data-progress]"), `${run.sealed} of ${run.planned} trials`);
    }
  }
}

const digits = (ns) => {
  const ms = ns / 1e6;
  return ms < 10 ? ms.toPrecision(3) : ms < 100 ? ms.toFixed(1) : ms.toFixed(0);
};

function figures(id, requests) {
  const row = byId(id);
  const set = (field, text) => put(row.querySelector(`[data-field=${field}]`), text);
  const q = requests && requests.response_ns;
  for (const field of ["p50", "p99", "max"]) set(field, q ? digits(q[field]) : "–");
  set("answered", requests ? requests.answered_per_second.toFixed(0) : "–");
  set("due", requests ? requests.due_per_second.toFixed(0) : "–");
  set("errors", requests ? String(requests.errors) : "–");
}

function machine(now) {
  const percent = (share) => `${(share * 100).toFixed(0)} %`;
  const set = (id, key, show) => {
    const value = now && now[key];
    const seen = typeof value === "number";
    put(byId(id).querySelector("[data-value]"), seen ? show(value) : value ? "n/a" : "–");
    put(byId(id).querySelector("[data-reason]"), seen || !value ? "" : value.absent);
  };
  set("busy", "cpu_busy_share", percent);
  set("steal", "steal_share", percent);
  set("cores", "proxy_cores", (cores) => cores.toFixed(2));
  set("throttled", "proxy_throttled_share", percent);
}

const draw = (parent, name, attributes, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
};

// Time over milliseconds, the latter by their logarithm.
function course(tenths) {
  const ended = tenths.filter((tenth) => tenth.max_ns !== null);
  byId("course").hidden = ended.length < 2;
  if (ended.length < 2) return;
  const svg = document.querySelector("#course svg");
  svg.replaceChildren();
  const [first, last, top, bottom] = [66, 996, 8, 232];
  const from = tenths[0].at_ns, to = tenths[tenths.length - 1].at_ns + 1e8;
  const low = Math.floor(Math.log10(Math.min(...ended.map((tenth) => tenth.p50_ns))));
  const high = Math.ceil(Math.log10(Math.max(...ended.map((tenth) => tenth.max_ns)) + 1));
  const x = (ns) => first + ((ns - from) / (to - from)) * (last - first);
  const y = (ns) => bottom - ((Math.log10(ns) - low) / Math.max(high - low, 1)) * (bottom - top);
  const counted = tenths.find((tenth) => tenth.measured);
  const until = counted ? counted.at_ns : to;
  if (until > from) draw(svg, "rect", { class: "warmup", x: first, y: top, width: x(until) - first, height: bottom - top });
  for (let power = low; power <= high; power++) {
    const at = y(10 ** power).toFixed(1);
    draw(svg, "line", { class: "grid", x1: first, x2: last, y1: at, y2: at });
    draw(svg, "text", { x: first - 6, y: Number(at) + 4, "text-anchor": "end" }, `${10 ** power / 1e6} ms`);
  }
  const step = (to - from) / 1e9 > 12 ? 5 : 1;
  for (let s = Math.ceil(from / 1e9 / step) * step; s * 1e9 <= to; s += step) {
    draw(svg, "text", { x: x(s * 1e9), y: 252, "text-anchor": "middle" }, `${s} s`);
  }
  for (const name of ["max", "p99", "p50"]) {
    const points = ended.map((tenth) => `${x(tenth.at_ns + 5e7).toFixed(1)},${y(tenth[`${name}_ns`]).toFixed(1)}`);
    draw(svg, "polyline", { class: name, points: points.join(" ") });
  }
}

const left = (ns) => {
  const s = Math.ceil(ns / 1e9);
  return s < 120 ? `${s} s` : s < 7200 ? `${Math.ceil(s / 60)} min` : `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
};

async function follow() {
  const live = byId("live");
  if (!live) return;
  for (;;) {
    let run;
    try {
      run = await ask(live.dataset.source);
      byId("lost").hidden = true;
    } catch {
      byId("lost").hidden = false;
      await later(5000);
      continue;
    }
    if (!run.being_made) {
      // What comes now is the report, or that it was cut off.
      location.reload();
      return;
    }
    const trial = run.trial;
    const phase = { settle: "settle", warm_up: "warm-up", measure: "measure", cool_down: "cool-down" }[run.now.phase] || "start";
    const between = run.sealed === run.planned ? "All trials are made; their report is being written" : "Between two trials";
    put(byId("trial"), trial ? `Trial ${trial.number} of ${run.planned}: ${trial.label}, ${phase}` : between);
    byId("progress").max = run.planned;
    byId("progress").value = run.sealed;
    put(byId("made"), `${run.sealed} of ${run.planned} trials, about ${left(run.left_ns)} left`);
    figures("second", run.now.last_second);
    figures("sofar", run.now.so_far);
    machine(run.now.machine);
    course(run.course);
    await later(document.hidden ? 5000 : 1000);
  }
}

filter();
choose();
watchList();
follow();
