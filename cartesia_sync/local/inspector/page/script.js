"use strict";
// Everything that is shown comes from elsewhere and may be hostile: it is put in by textContent alone.

const MOST_ROWS = 5000;
const MOST_MARKS = 2000;
const SHOWN = 20000;

const $ = (id) => document.getElementById(id);
const rows = new Map();
let shown = [];
let chosen = null;
let isPaused = false;
let held = [];
let newest = 0;
let figures = { refusals: 0, open: new Set(), slots: "0" };
let isDue = false;
let followsEnd = true;
let colours = null;

// ---- what comes in

class Row {
  constructor(key, entry) {
    this.key = key;
    this.isConnection = entry.ctx === undefined && entry.call === undefined;
    this.first = entry.at;
    this.last = entry.at;
    this.text = "";
    this.marks = [];
    this.words = [];
    this.state = "running";
    this.seconds = 0;
    this.bytes = 0;
    this.firstAudio = null;
    this.bufferedUntil = null;
    this.gaps = [];
    this.facts = {};
    this.pieces = [];
    this.search = "";
  }

  mark(kind, at, more) {
    if (this.marks.length < MOST_MARKS) this.marks.push({ kind, at, ...more });
  }

  take(entry) {
    this.last = Math.max(this.last, entry.at);
    for (const name of ["source", "conn", "ctx", "call", "model", "voice", "language", "method", "path", "version", "status", "type"]) {
      if (entry[name] !== undefined && !(name === "type" && entry.kind !== "answer")) this.facts[name] = entry[name];
    }
    if (entry.format) this.facts.format = [entry.format.container, entry.format.encoding, entry.format.sample_rate].filter((each) => each !== undefined).join(" ");
    const take = this[`take_${entry.kind}`];
    if (take) take.call(this, entry);
    this.search = `${this.text} ${Object.values(this.facts).join(" ")}`.toLowerCase().slice(0, 4000);
  }

  take_sent(entry) {
    if (entry.text !== undefined && this.text.length < SHOWN) {
      this.text += entry.text;
      this.pieces.push(entry.text);
    }
    if (entry.cancel) {
      this.mark("cancel", entry.at);
      if (this.state === "running") this.state = "cancelled";
    } else this.mark("push", entry.at, { flush: entry.flush });
  }

  take_got(entry) {
    if (entry.type === "chunk") this.takeAudio(entry);
    else if (entry.words) this.words.push(entry.words);
    else if (entry.type === "done") this.end("done", entry.at);
    else if (entry.type === "error") this.takeError(entry);
  }

  takeAudio(entry) {
    if (!entry.bytes) return;
    const seconds = entry.seconds || 0;
    if (this.firstAudio === null) {
      this.firstAudio = entry.at;
      this.bufferedUntil = entry.at;
      this.mark("first", entry.at);
    } else if (seconds && entry.at > this.bufferedUntil + 0.001) {
      this.gaps.push([this.bufferedUntil, entry.at]);
      this.bufferedUntil = entry.at;
    }
    this.mark("chunk", entry.at);
    this.bufferedUntil += seconds;
    this.seconds += seconds;
    this.bytes += entry.bytes;
  }

  takeError(entry) {
    this.facts.status = entry.status_code;
    this.facts.error = [entry.title, entry.message || entry.error, entry.error_code].filter(Boolean).join("; ");
    if (entry.status_code === 429) figures.refusals += 1;
    this.mark("error", entry.at);
    this.state = "failed";
  }

  end(state, at) {
    if (state === "failed" || this.state !== "failed") this.mark(state === "failed" ? "error" : "done", at);
    if (this.state === "running") this.state = state;
  }

  take_open(entry) {
    figures.open.add(this.key);
    this.mark("push", entry.at);
  }

  take_refused(entry) {
    if (entry.status === 429) figures.refusals += 1;
    this.end("failed", entry.at);
  }

  take_closing(entry) {
    this.facts["closed with"] = [entry.code, entry.text].filter((each) => each !== undefined).join(" ");
  }

  take_close(entry) {
    figures.open.delete(this.key);
    this.end("done", entry.at);
  }

  take_call(entry) {
    this.text = entry.text || "";
    if (entry.text) this.pieces.push(entry.text);
    this.mark("push", entry.at);
  }

  take_answer(entry) {
    if (entry.status === 429) figures.refusals += 1;
    if (entry.status >= 400) {
      this.mark("error", entry.at);
      this.state = "failed";
    }
  }

  take_end(entry) {
    if (entry.how === "left") {
      this.mark("cancel", entry.at);
      if (this.state === "running") this.state = "cancelled";
    } else this.end(entry.how === "whole" ? "done" : "failed", entry.at);
    if (entry.how !== "whole") this.facts.end = entry.how === "cut" ? "cut in the middle" : "the client left";
  }

  get label() {
    if (this.text) return this.text;
    if (this.facts.method) return `${this.facts.method} ${this.facts.path}`;
    if (this.isConnection) return `connection ${this.facts.conn} ${this.facts.path || ""}`;
    return this.facts.ctx || "";
  }

  get summary() {
    if (this.state === "failed") return String(this.facts.status || "failed");
    if (this.isConnection) return this.state === "running" ? "open" : "closed";
    const audio = this.seconds ? `${this.seconds.toFixed(1)} s` : "";
    return this.state === "running" ? audio || "…" : this.state === "cancelled" ? "cancelled" : audio || "done";
  }
}

function take(entry) {
  newest = Math.max(newest, entry.n);
  if (entry.slots) figures.slots = entry.slots[1] === null ? String(entry.slots[0]) : `${entry.slots[0]} of ${entry.slots[1]}`;
  if (!entry.row) {
    say(visible(entry.text || ""), entry.kind === "dropped");
    return;
  }
  let row = rows.get(entry.row);
  if (!row) {
    row = new Row(entry.row, entry);
    rows.set(entry.row, row);
    if (rows.size > MOST_ROWS) rows.delete(rows.keys().next().value);
  }
  row.take(entry);
  row.isNew = true;
}

function listen() {
  const events = new EventSource(`/inspector/events?after=${newest}`);
  events.onopen = () => stream("live", false);
  events.onerror = () => stream("the server is gone; trying again", true);
  events.addEventListener("lost", (event) => say(`${event.data} entries were dropped before they were shown`, true));
  events.onmessage = (event) => {
    const entry = JSON.parse(event.data);
    if (isPaused) {
      held.push(entry);
      if (held.length > 50000) held.shift();
      $("pause").textContent = `Go on (${held.length})`;
      return;
    }
    take(entry);
    ask();
  };
}

function stream(text, isLost) {
  $("stream").textContent = text;
  $("stream").classList.toggle("lost", isLost);
}

function say(text, isBad) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", Boolean(isBad));
}

// Signs that draw nothing, or that turn what stands around them, are made visible.
function visible(text) {
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, (sign) => String.fromCharCode(0x2400 + sign.charCodeAt(0))).replace(/[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

// ---- the timeline

function ask() {
  if (!isDue) {
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      draw();
    });
  }
}

function chooseShown() {
  const wanted = $("filter").value.trim().toLowerCase();
  const state = $("state").value;
  shown = [];
  for (const row of rows.values()) {
    if ((!state || row.state === state) && (!wanted || row.search.includes(wanted))) shown.push(row);
  }
}

function span() {
  let first = Infinity;
  let last = -Infinity;
  let heard = -Infinity;
  for (const row of shown) {
    first = Math.min(first, row.first);
    last = Math.max(last, row.last);
    heard = Math.max(heard, row.bufferedUntil || 0);
  }
  if (!shown.length) return [0, 1];
  last = Math.max(last, Math.min(heard, last + (last - first) / 4)); // audio that came fast would press all else together
  const range = Number($("range").value);
  if (range) first = last - range;
  return [first, Math.max(last, first + 0.05)];
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = { row: parseFloat(style.getPropertyValue("--row")) };
  for (const name of ["paper", "raised", "line", "ink", "faint", "push", "chunk", "first", "gap", "good", "bad"]) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
}

function canvasOf(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const style = getComputedStyle(canvas);
  const width = canvas.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return [pen, width, height];
}

function draw() {
  if (!colours) readColours();
  chooseShown();
  const scroll = $("scroll");
  const list = $("rows");
  const height = colours.row;
  list.style.height = `${Math.max(shown.length * height, scroll.clientHeight - 1)}px`;
  if (followsEnd) scroll.scrollTop = scroll.scrollHeight;
  const time = span();
  const from = Math.max(0, Math.min(Math.floor(scroll.scrollTop / height) - 2, shown.length - 1)); // it may be shorter now
  const to = Math.min(shown.length, Math.ceil((scroll.scrollTop + scroll.clientHeight) / height) + 2);
  while (list.children.length > to - from) list.lastChild.remove();
  while (list.children.length < to - from) list.append(newItem());
  for (let index = from; index < to; index += 1) drawRow(list.children[index - from], shown[index], index, time);
  if (chosen && !shown.includes(chosen)) list.removeAttribute("aria-activedescendant");
  drawRuler(time, list);
  $("empty").hidden = shown.length > 0;
  $("empty").textContent = rows.size ? "Nothing that is shown matches." : "Nothing was said yet. Lead a program here: the terminal shows how.";
  $("connections").textContent = figures.open.size;
  $("slots").textContent = figures.slots;
  $("refusals").textContent = figures.refusals;
  $("count").textContent = shown.length === rows.size ? rows.size : `${shown.length} of ${rows.size}`;
  if (chosen && chosen.isNew) showFacts();
}

function newItem() {
  const item = document.createElement("li");
  item.setAttribute("role", "option");
  const label = document.createElement("div");
  label.className = "label";
  const what = document.createElement("span");
  what.className = "what";
  what.dir = "auto";
  const state = document.createElement("span");
  state.className = "state";
  label.append(what, state);
  const track = document.createElement("canvas");
  track.className = "track";
  item.append(label, track);
  return item;
}

function drawRow(item, row, index, time) {
  item.row = row;
  item.id = `row-${index}`;
  item.style.top = `${index * colours.row}px`;
  item.className = `${row.state}${row.isConnection ? " connection" : ""}`;
  item.setAttribute("aria-posinset", index + 1);
  item.setAttribute("aria-setsize", shown.length);
  item.setAttribute("aria-selected", row === chosen);
  if (row === chosen) $("rows").setAttribute("aria-activedescendant", item.id);
  const text = visible(row.label.slice(0, 300));
  const [what, state] = item.firstChild.children;
  if (what.textContent !== text) what.textContent = text;
  state.textContent = row.summary;
  const audio = row.firstAudio === null ? "" : `, first audio after ${Math.round(1000 * (row.firstAudio - row.first))} ms`;
  item.setAttribute("aria-label", `${text.slice(0, 120)}, ${row.state}${row.facts.status ? ` ${row.facts.status}` : ""}, ${row.seconds ? `${row.seconds.toFixed(1)} seconds` : `${row.bytes} bytes`} of audio${audio}, ${row.gaps.length} gaps`);
  const [pen, width, height] = canvasOf(item.lastChild);
  const x = (at) => 6 + ((at - time[0]) / (time[1] - time[0])) * (width - 16);
  const middle = height / 2;
  pen.fillStyle = colours.line;
  pen.fillRect(x(row.first), middle - 1, Math.max(1, x(row.last) - x(row.first)), 2);
  if (row.firstAudio !== null) {
    pen.globalAlpha = 0.35;
    pen.fillStyle = colours.chunk;
    pen.fillRect(x(row.firstAudio), middle - 3, Math.max(1, x(row.bufferedUntil) - x(row.firstAudio)), 6);
    pen.globalAlpha = 1;
  }
  for (const [start, end] of row.gaps) {
    pen.clearRect(x(start), middle - 4, x(end) - x(start), 8);
    pen.strokeStyle = colours.gap;
    pen.lineWidth = 2;
    pen.setLineDash([3, 2]);
    pen.strokeRect(x(start), middle - 3, Math.max(1, x(end) - x(start)), 6);
    pen.setLineDash([]);
  }
  for (const mark of row.marks) drawMark(pen, mark, x(mark.at), middle, height);
}

function drawMark(pen, mark, x, middle, height) {
  if (x < 0) return;
  if (mark.kind === "push") {
    pen.fillStyle = colours.push;
    pen.beginPath();
    pen.moveTo(x - 4, 2);
    pen.lineTo(x + 4, 2);
    pen.lineTo(x, 9);
    pen.fill();
    if (mark.flush) pen.fillRect(x - 4, 0, 8, 1.5);
  } else if (mark.kind === "chunk") {
    pen.fillStyle = colours.chunk;
    pen.fillRect(x - 1, middle - 4, 2, 8);
  } else if (mark.kind === "first") {
    pen.fillStyle = colours.first;
    pen.fillRect(x - 1.5, 3, 3, height - 6);
  } else if (mark.kind === "done") {
    pen.fillStyle = colours.good;
    pen.beginPath();
    pen.arc(x, middle, 4, 0, 7);
    pen.fill();
  } else {
    pen.fillStyle = mark.kind === "error" ? colours.bad : colours.gap;
    pen.font = "bold 15px system-ui, 'DejaVu Sans', sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(mark.kind === "error" ? "!" : "×", x, middle);
  }
}

function drawRuler(time, list) {
  const [pen, , height] = canvasOf($("ruler"));
  const track = list.firstElementChild && list.firstElementChild.lastChild;
  if (!track) return;
  const style = getComputedStyle(track);
  const left = track.getBoundingClientRect().left - $("ruler").getBoundingClientRect().left + parseFloat(style.paddingLeft);
  const width = track.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const length = time[1] - time[0];
  const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 14400];
  const step = steps.find((each) => (each / length) * width >= 64) || 86400;
  pen.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  pen.textBaseline = "middle";
  for (let at = 0; at <= length + 1e-9; at += step) {
    const x = left + 6 + (at / length) * (width - 16);
    pen.fillStyle = colours.line;
    pen.fillRect(x, height - 6, 1, 6);
    pen.fillStyle = colours.faint;
    const text = step < 1 ? `${Math.round(at * 1000)} ms` : `${Math.round(at)} s`;
    const wide = pen.measureText(text).width;
    pen.textAlign = "left";
    pen.fillText(text, Math.min(x + 3, left + width - wide), height / 2 - 1);
  }
}

// ---- one row

function choose(row, isByKey) {
  chosen = row;
  $("nothing").hidden = Boolean(row);
  $("chosen").hidden = !row;
  stop();
  if (row) {
    if (isByKey) bringIntoView(row);
    showFacts();
    showRest(row);
  }
  ask();
}

function bringIntoView(row) {
  const index = shown.indexOf(row);
  const scroll = $("scroll");
  const top = index * colours.row;
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  else if (top + colours.row > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + colours.row - scroll.clientHeight;
}

function showFacts() {
  const row = chosen;
  const hasGrown = row.isNew && row.seen !== undefined;
  row.isNew = false;
  row.seen = true;
  $("title").textContent = visible(row.label.slice(0, 300));
  const facts = { state: row.state, ...row.facts };
  if (row.firstAudio !== null) facts["first audio"] = `${Math.round(1000 * (row.firstAudio - row.first))} ms after the first text`;
  if (row.seconds) facts.audio = `${row.seconds.toFixed(2)} s, ${row.bytes} bytes`;
  else if (row.bytes) facts.audio = `${row.bytes} bytes`;
  if (row.gaps.length) facts.gaps = row.gaps.map(([start, end]) => `${Math.round(1000 * (end - start))} ms at ${(start - row.first).toFixed(2)} s`).slice(0, 20).join(", ");
  const names = { conn: "connection", ctx: "context", call: "call", type: "content type" };
  const list = $("facts");
  list.replaceChildren();
  for (const [name, value] of Object.entries(facts)) {
    if (value === undefined || value === "") continue;
    const term = document.createElement("dt");
    term.textContent = names[name] || name;
    const said = document.createElement("dd");
    said.dir = "auto";
    said.textContent = visible(String(value).slice(0, 2000));
    list.append(term, said);
  }
  const pieces = row.pieces.map((text) => {
    const piece = document.createElement("span");
    piece.className = "piece";
    piece.dir = "auto";
    piece.textContent = visible(text);
    return piece;
  });
  $("said").replaceChildren(...pieces);
  $("play").disabled = !row.bytes;
  $("save").setAttribute("aria-disabled", String(!row.bytes));
  const query = `row=${encodeURIComponent(row.key)}`;
  $("save").href = `/inspector/audio?save&${query}`;
  $("tape").href = `/inspector/tape?${query}`;
  $("tape").hidden = Boolean(row.facts.method);
  if (hasGrown) later(row);
}

let isLater = false;
function later(row) {
  if (isLater) return;
  isLater = true;
  setTimeout(() => {
    isLater = false;
    if (chosen === row) showRest(row);
  }, 300);
}

async function showRest(row) {
  const answer = await fetch(`/inspector/row?row=${encodeURIComponent(row.key)}`);
  const entries = answer.ok ? await answer.json() : [];
  if (chosen !== row) return;
  showEntries(row, entries.slice(-500), entries.length);
  $("sound").hidden = !row.bytes;
  if (row.bytes) await drawWave(row);
}

function showEntries(row, entries, count) {
  const items = entries.map((entry) => {
    const item = document.createElement("li");
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    const time = document.createElement("span");
    time.className = "time";
    time.textContent = `+${(entry.at - row.first).toFixed(3)} s `;
    const arrow = { sent: "→ ", call: "→ ", got: "← ", answer: "← " }[entry.kind] || "";
    const what = [entry.kind === "got" || entry.kind === "sent" ? entry.type || "" : entry.kind, entry.text || "", entry.how || "", entry.status || "", entry.seconds ? `${entry.seconds.toFixed(2)} s of audio` : entry.bytes ? `${entry.bytes} bytes` : "", entry.flush ? "flush" : "", entry.cancel ? "cancel" : "", entry.kind === "sent" && entry.continue === false ? "no more" : ""].filter(Boolean).join(" · ");
    const text = document.createElement("span");
    text.dir = "auto";
    text.textContent = visible(what.slice(0, 300));
    summary.append(time, arrow, text);
    details.append(summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.children.length === 1) details.append(jsonOf(entry));
    });
    item.append(details);
    return item;
  });
  const open = [...$("entries").querySelectorAll("details")].map((each) => each.open);
  $("entries").replaceChildren(...items);
  if (row === $("entries").row) items.forEach((item, index) => { item.firstChild.open = Boolean(open[index]); });
  $("entries").row = row;
  if (count > entries.length) {
    const item = document.createElement("li");
    item.textContent = `and ${count - entries.length} before these`;
    $("entries").prepend(item);
  }
}

function jsonOf(entry) {
  const shownAs = document.createElement("pre");
  let text = entry.raw || "";
  try {
    text = JSON.stringify(JSON.parse(text), null, 2);
  } catch { /* it is no JSON, and is shown as it is */ }
  if (entry.bytes && entry.raw) text = text.replace(/"data": "@"/, `"data": "(${entry.bytes} bytes of audio)"`);
  const rest = text.length - SHOWN;
  shownAs.textContent = visible(text.slice(0, SHOWN)) + (rest > 0 ? `\n… and ${rest} characters more (Copy JSON has them)` : "");
  shownAs.dir = "auto";
  return shownAs;
}

// ---- sound

let playing = null;
let speaker = null;

async function soundOf(row) {
  if (row.sound && row.soundBytes === row.bytes) return row.sound;
  const bytes = row.bytes;
  const answer = await fetch(`/inspector/audio?row=${encodeURIComponent(row.key)}`);
  if (!answer.ok) throw new Error(await answer.text());
  const sound = await new OfflineAudioContext(1, 1, 44100).decodeAudioData(await answer.arrayBuffer());
  for (const other of rows.values()) other.sound = undefined; // one at a time: they are large
  row.sound = sound;
  row.soundBytes = bytes;
  return sound;
}

async function drawWave(row, at) {
  let sound;
  try {
    sound = await soundOf(row);
  } catch (error) {
    $("sound").hidden = true;
    return;
  }
  if (chosen !== row) return;
  const [pen, width, height] = canvasOf($("wave"));
  const samples = sound.getChannelData(0);
  const step = samples.length / width;
  pen.fillStyle = colours.push;
  for (let x = 0; x < width; x += 1) {
    let low = 0;
    let high = 0;
    const end = Math.min(samples.length, Math.floor((x + 1) * step));
    for (let index = Math.floor(x * step); index < end; index += Math.max(1, Math.floor(step / 60))) {
      low = Math.min(low, samples[index]);
      high = Math.max(high, samples[index]);
    }
    pen.fillRect(x, (height / 2) * (1 - high), 1, Math.max(1, (height / 2) * (high - low)));
  }
  if (at !== undefined) {
    pen.fillStyle = colours.bad;
    pen.fillRect((at / sound.duration) * width, 0, 2, height);
    return;
  }
  $("wave").setAttribute("aria-label", `Wave of ${sound.duration.toFixed(2)} seconds`);
  showWords(row, sound.duration, width);
}

function showWords(row, duration, width) {
  const lanes = [0, 0, 0, 0];
  const spans = [];
  $("words").replaceChildren();
  for (const [words, starts] of row.words) {
    words.slice(0, 2000).forEach((word, index) => {
      const left = (starts[index] / duration) * width;
      let lane = lanes.findIndex((end) => end <= left);
      if (lane < 0) return; // no room for it
      const span = document.createElement("span");
      span.textContent = visible(String(word).slice(0, 60));
      span.style.top = `${lane * 1.35}em`;
      $("words").append(span);
      span.style.left = `${Math.max(0, Math.min(left, width - span.offsetWidth))}px`;
      lanes[lane] = left + span.offsetWidth + 3;
      spans.push(span);
    });
  }
  $("words").hidden = !spans.length;
  $("words").style.height = `${1.35 * lanes.filter((end) => end > 0).length + 0.2}em`;
}

async function play() {
  if (playing) {
    stop();
    return;
  }
  const row = chosen;
  speaker = speaker || new AudioContext();
  await speaker.resume();
  let sound;
  try {
    sound = await soundOf(row);
  } catch (error) {
    say(`This cannot be played: ${error.message}`, true);
    return;
  }
  if (chosen !== row) return;
  const source = speaker.createBufferSource();
  source.buffer = sound;
  source.connect(speaker.destination);
  const began = speaker.currentTime;
  source.onended = () => { if (playing === source) stop(); };
  source.start();
  playing = source;
  $("play").textContent = "Stop";
  const move = () => {
    if (playing !== source) return;
    drawWave(row, speaker.currentTime - began);
    requestAnimationFrame(move);
  };
  move();
}

function stop() {
  if (!playing) return;
  const source = playing;
  playing = null;
  source.stop();
  $("play").textContent = "Play";
  if (chosen) drawWave(chosen);
}

// ---- what goes out

async function post(path, body) {
  try {
    const answer = await fetch(`/inspector/${path}`, { method: "POST", body });
    say(visible(await answer.text()), !answer.ok);
    return answer.ok;
  } catch {
    say("The server does not answer.", true);
    return false;
  }
}

async function copy(path, what) {
  const answer = await fetch(`/inspector/${path}?row=${encodeURIComponent(chosen.key)}`);
  let text = await answer.text();
  if (path === "row") text = JSON.stringify(JSON.parse(text), null, 2);
  try {
    await navigator.clipboard.writeText(text);
  } catch { // it was not allowed: the old way
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say(`${what} is in the clipboard.`);
}

// ---- keys and clicks

$("rows").addEventListener("click", (event) => {
  const item = event.target.closest("li");
  if (item) choose(item.row);
});
$("rows").addEventListener("keydown", (event) => {
  const index = shown.indexOf(chosen);
  const page = Math.max(1, Math.floor($("scroll").clientHeight / colours.row) - 1);
  const steps = { ArrowDown: index + 1, ArrowUp: index < 0 ? shown.length - 1 : index - 1, Home: 0, End: shown.length - 1, PageDown: index + page, PageUp: index - page };
  if (event.key in steps) {
    event.preventDefault();
    if (shown.length) {
      followsEnd = false;
      choose(shown[Math.min(shown.length - 1, Math.max(0, steps[event.key]))], true);
    }
  } else if (event.key === "Enter" && chosen) {
    event.preventDefault();
    $("title").focus();
  } else if (event.key === " " && chosen) {
    event.preventDefault();
    if (!$("play").disabled) play();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
    event.preventDefault();
    $("filter").focus();
  }
});
$("scroll").addEventListener("scroll", () => {
  const scroll = $("scroll");
  followsEnd = scroll.scrollTop + scroll.clientHeight >= scroll.scrollHeight - 4;
  ask();
});
for (const id of ["filter", "state", "range"]) $(id).addEventListener("input", ask);
$("controls").addEventListener("submit", (event) => event.preventDefault());
$("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  $("pause").setAttribute("aria-pressed", String(isPaused));
  $("pause").textContent = isPaused ? "Go on" : "Pause";
  if (!isPaused) {
    held.forEach(take);
    held = [];
    ask();
  }
});
$("clear").addEventListener("click", async () => {
  if (!(await post("clear"))) return;
  rows.clear();
  held = [];
  figures = { refusals: 0, open: figures.open, slots: figures.slots };
  followsEnd = true;
  choose(null);
});
$("play").addEventListener("click", play);
$("python").addEventListener("click", () => copy("python", "The Python program"));
$("json").addEventListener("click", () => copy("row", "The JSON"));
const BEGINNINGS = { Close: "Close(1011, after=3)", Refuse: "Refuse(429)", RefuseRequest: "RefuseRequest(429)", Delay: "Delay(0.5)", ErrorEvent: "ErrorEvent(429, after=1)", Reset: "Reset(after=1)", CutAnswer: "CutAnswer(after=100)" };
const propose = () => { $("fault").value = BEGINNINGS[$("kind").value] || `${$("kind").value}()`; };
$("kind").addEventListener("input", propose);
$("faults").addEventListener("submit", (event) => {
  event.preventDefault();
  post("fault", $("fault").value);
});
$("unfault").addEventListener("click", () => post("clear-faults"));
window.addEventListener("resize", () => {
  readColours();
  if (chosen && chosen.bytes) drawWave(chosen);
  ask();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  if (chosen && chosen.bytes) drawWave(chosen);
  ask();
});

history.replaceState(null, "", "/inspector"); // the token is in the cookie now
if ([...$("kind").options].some((each) => each.value === "Close")) $("kind").value = "Close";
propose();
readColours();
listen();
ask();
