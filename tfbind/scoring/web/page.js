// The page of a model: DNA in, profile, sites, base changes and files out. Nothing leaves the browser.

const element = (id) => document.getElementById(id)
const text = (id) => element(id).textContent.trim()
const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
const count = (number, word) => `${number.toLocaleString("en-US")} ${word}${number === 1 ? "" : "s"}`

const clamp = (value, low, high) => Math.min(Math.max(value, low), high)

const LETTERS = "ACGTN"
const UNKNOWN_LETTERS = "NRYSWKMBDHV"
const MOST_WORKERS = 4
const MOST_BASES = 20_000_000
const LONGEST_SHOWN = 20_000 // bases whose letters are shown together
const AROUND_SITE = 30
const SVG = "http://www.w3.org/2000/svg"
const EXAMPLE =
  ">example 1\n" +
  "GCTAGGTCACGATTCGGATCCATTGCAGGTGTAAACATTGCCGATCGTACCGTAGGCTAACGGTCATGCC\n" +
  ">example 2\n" +
  "GCTAGGTCACGATTCGGATCCATTGCAGGTGCAGGCATTGCCGATCGTACCGTAGGCTAACGGTCATGCC\n"

const model = JSON.parse(text("model"))
const state = { records: [], record: null, place: 0, site: null }

// ---------------------------------------------------------------------------------------------------- DNA as codes

// Records of FASTA, or of bare sequences one a line; `notes` say what was read as something else.
function readRecords(content) {
  const records = []
  for (const line of content.split(/\r\n|\r|\n/)) {
    if (line.startsWith(">")) records.push({ name: line.slice(1).trim() || `sequence_${records.length + 1}`, letters: "" })
    else if (line.trim()) {
      if (!records.length) records.push({ name: "sequence_1", letters: "" })
      records[records.length - 1].letters += line.replace(/[\s\d]/g, "")
    }
  }
  return records.filter((record) => record.letters).map(encode)
}

function encode({ name, letters }) {
  const codes = new Uint8Array(letters.length)
  let unknown = 0
  for (let i = 0; i < letters.length; i++) {
    const letter = letters[i].toUpperCase().replace("U", "T")
    const code = LETTERS.indexOf(letter)
    if (code < 0 && !UNKNOWN_LETTERS.includes(letter)) {
      throw new Error(`${name}: letter '${letters[i]}' at position ${i + 1}; expected A C G T U N and IUPAC codes`)
    }
    codes[i] = code < 0 ? 4 : code
    if (codes[i] === 4) unknown++
  }
  const notes = unknown ? [`${count(unknown, "letter")} read as N`] : []
  if (model.length && codes.length < model.length) notes.push(`filled up with N to the ${model.length} bases that the model takes`)
  return { name, original: codes, codes: codes.slice(), notes, changes: [] }
}

const decode = (codes) => Array.from(codes, (code) => LETTERS[code]).join("")
const complement = (codes) => codes.map((code) => (code < 4 ? 3 - code : 4)).reverse()

// --------------------------------------------------------------------------------------------------------- workers

const workers = []
const waiting = new Map()

async function startWorkers() {
  const source = URL.createObjectURL(new Blob([text("engine")], { type: "text/javascript" }))
  const wasm = await WebAssembly.compile(bytes(text("module")))
  const weights = bytes(text("weights")).buffer
  const number = Math.max(1, Math.min(MOST_WORKERS, navigator.hardwareConcurrency || 1))
  await Promise.all(
    Array.from({ length: number }, () => {
      const worker = new Worker(source)
      workers.push(worker)
      return new Promise((resolve, reject) => {
        worker.onerror = (event) => reject(new Error(event.message || "the browser starts no worker"))
        worker.onmessage = ({ data }) => {
          if (data.ready) resolve()
          else waiting.get(data.id)(data.scores)
        }
        worker.postMessage({ module: wasm, model, weights })
      })
    }),
  )
}

let ids = 0

function ask(worker, codes, start, end) {
  const id = ids++
  return new Promise((resolve) => {
    waiting.set(id, (scores) => {
      waiting.delete(id)
      resolve(scores)
    })
    worker.postMessage({ id, codes, start, end })
  })
}

// Scores of codes between two bases, forward. Tiles are handed to whichever worker is free.
async function scoreForward(codes, from, to, onTile) {
  if (model.length) return ask(workers[0], codes, 0, codes.length)
  const scores = new Float32Array(to - from)
  let next = from
  const work = async (worker) => {
    while (next < to) {
      const start = next
      const end = (next = Math.min(to, start + model.tile))
      const first = Math.max(0, start - model.reach)
      const part = codes.slice(first, Math.min(codes.length, end + model.reach))
      scores.set(await ask(worker, part, start - first, end - first), start - from)
      onTile(end - start)
    }
  }
  await Promise.all(workers.map(work))
  return scores
}

async function scoreBases(codes, from, to, both, onTile = () => {}) {
  const forward = await scoreForward(codes, from, to, onTile)
  if (!both) return forward
  const reverse = await scoreForward(complement(codes), codes.length - to, codes.length - from, onTile)
  reverse.reverse()
  return forward.map((score, base) => (score + reverse[base]) / 2)
}

function callSites(scores, threshold) {
  const sites = []
  for (let start = 0; start < scores.length; start++) {
    if (!(scores[start] >= threshold)) continue
    let end = start
    let score = -Infinity
    while (end < scores.length && scores[end] >= threshold) score = Math.max(score, scores[end++])
    sites.push({ start, end, score })
    start = end
  }
  return sites
}

// --------------------------------------------------------------------------------------------------------- actions

const fail = (error) => say(error.message, true)

function say(message, wrong = false) {
  element("message").textContent = message
  element("message").classList.toggle("wrong", wrong)
}

async function scoreAll() {
  const records = readRecords(element("dna").value)
  const bases = records.reduce((sum, record) => sum + record.codes.length, 0)
  if (!records.length) throw new Error("Nothing to score yet: paste a sequence, or try the example.")
  if (bases > MOST_BASES) throw new Error(`${count(bases, "base")}; expected at most ${MOST_BASES.toLocaleString("en-US")}`)
  const both = element("both").checked
  say(`scoring ${count(bases, "base")}`)
  const started = performance.now()
  let done = 0
  for (const record of records) {
    record.both = both
    record.scores = await scoreBases(record.codes, 0, record.codes.length, both, (tile) => {
      done += tile / (both ? 2 : 1)
      if (bases > model.tile) say(`${Math.floor((100 * done) / bases)} % of ${count(bases, "base")}`)
    })
    record.before = record.scores
  }
  say(`${count(records.length, "sequence")} scored in ${((performance.now() - started) / 1000).toFixed(2)} s, in this browser`)
  Object.assign(state, { records })
  element("record").replaceChildren(...records.map((record, place) => new Option(record.name, place)))
  element("choice").hidden = records.length < 2
  element("result").hidden = false
  open(records[0])
}

function open(record) {
  Object.assign(state, { record, place: 0, site: null })
  show()
}

function choose(place) {
  state.place = place
  state.site = sites().find((site) => site.start <= place && place < site.end) ?? state.site
  show()
}

async function change(place, letter) {
  const { record } = state
  record.changes.push([place, record.codes[place]])
  await setBase(record, place, LETTERS.indexOf(letter))
}

async function undo() {
  const { record } = state
  if (record.changes.length) await setBase(record, ...record.changes.pop())
}

// Only what lies within reach of a base has other scores.
async function setBase(record, place, code) {
  record.codes[place] = code
  const from = model.length ? 0 : Math.max(0, place - model.reach)
  const to = model.length ? record.codes.length : Math.min(record.codes.length, place + model.reach + 1)
  const scores = record.scores.slice()
  scores.set(await scoreBases(record.codes, from, to, record.both), from)
  record.scores = scores
  if (state.record === record) {
    state.place = place
    show()
  }
}

const threshold = () => Number(element("threshold").value)
const sites = () => callSites(state.record.scores, threshold())

// ------------------------------------------------------------------------------------------------------------ view

function show() {
  const { record } = state
  const called = sites()
  state.site = called.find((site) => state.site && site.start < state.site.end && state.site.start < site.end) ?? null
  element("whole").disabled = !state.site
  element("undo").disabled = !record.changes.length
  element("notes").textContent = [count(record.codes.length, "base"), ...record.notes].join(" · ")
  element("effect").textContent = describeEffect(record)
  element("count").textContent = `${count(called.length, "site")} of at least ${threshold()}${model.unit}`
  drawProfile(record, called)
  showLetters(record, called)
  showTable(record, called)
}

function describeEffect(record) {
  if (!record.changes.length) return ""
  let place = 0
  record.scores.forEach((score, base) => {
    if (Math.abs(score - record.before[base]) > Math.abs(record.scores[place] - record.before[place])) place = base
  })
  const [before, after] = [record.before[place], record.scores[place]]
  const change = `${after > before ? "+" : ""}${(after - before).toFixed(2)}`
  return `Largest change ${change}${model.unit}, at base ${place + 1}, from ${before.toFixed(2)} to ${after.toFixed(2)}.`
}

function drawn(parent, tag, attributes, content = "") {
  const shape = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value)
  shape.textContent = content
  parent.append(shape)
  return shape
}

// A path with the lowest and the highest score of each pixel, so that no peak is lost.
function path(scores, first, last, x, y, width) {
  const step = Math.max(1, Math.floor((last - first) / width))
  const points = []
  for (let start = first; start < last; start += step) {
    const part = scores.subarray(start, Math.min(last, start + step))
    let low = 0
    let high = 0
    part.forEach((score, place) => {
      if (score < part[low]) low = place
      if (score > part[high]) high = place
    })
    for (const place of [...new Set([low, high])].sort((a, b) => a - b)) {
      points.push(`${x(start + place).toFixed(1)},${y(part[place]).toFixed(1)}`)
    }
  }
  return `M${points.join("L")}`
}

// The distance of the marks of an axis: 1, 2 or 5 times a power of ten, about five of them.
function niceStep(span) {
  const power = 10 ** Math.floor(Math.log10(span / 4))
  return power * [1, 2, 5, 10].find((factor) => factor * power >= span / 5)
}

function drawProfile(record, called) {
  const svg = element("profile")
  const { width, height } = svg.getBoundingClientRect()
  const { scores } = record
  const [first, last] = state.site
    ? [Math.max(0, state.site.start - AROUND_SITE), Math.min(scores.length, state.site.end + AROUND_SITE)]
    : [0, scores.length]
  let [low, high] = [0, 1]
  for (const score of scores) [low, high] = [Math.min(low, score), Math.max(high, score)]
  const x = (base) => 44 + ((base - first + 0.5) / Math.max(1, last - first)) * (width - 56)
  const y = (score) => height - 34 - ((score - low) / (high - low)) * (height - 50)
  const step = niceStep(high - low)
  svg.replaceChildren()
  svg.setAttribute("aria-label", `Score at each base from ${first + 1} to ${last}, highest ${high.toFixed(2)}`)
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    drawn(svg, "line", { class: "grid", x1: 44, x2: width - 12, y1: y(value), y2: y(value) })
    drawn(svg, "text", { x: 38, y: y(value) + 4, "text-anchor": "end" }, Number(value.toPrecision(3)))
  }
  for (const [part, anchor] of [[0, "start"], [1, "middle"], [2, "middle"], [3, "middle"], [4, "end"]]) {
    const base = Math.round(first + ((last - 1 - first) * part) / 4)
    drawn(svg, "text", { x: x(base), y: height - 14, "text-anchor": anchor }, (base + 1).toLocaleString("en-US"))
  }
  const left = (site) => x(Math.max(first, site.start) - 0.5)
  for (const site of called.filter((site) => site.end > first && site.start < last)) {
    const right = x(Math.min(last, site.end) - 0.5)
    drawn(svg, "rect", { class: "called", x: left(site), width: Math.max(1, right - left(site)), y: 12, height: height - 46 })
  }
  if (low <= threshold() && threshold() <= high) {
    drawn(svg, "line", { class: "threshold", x1: 44, x2: width - 12, y1: y(threshold()), y2: y(threshold()) })
  }
  if (record.changes.length) drawn(svg, "path", { class: "before", d: path(record.before, first, last, x, y, width) })
  drawn(svg, "path", { class: "curve", d: path(scores, first, last, x, y, width) })
  svg.onclick = (event) => {
    const share = (event.clientX - svg.getBoundingClientRect().left - 44) / (width - 56)
    choose(clamp(Math.floor(first + share * (last - first)), first, last - 1))
  }
}

function showLetters(record, called) {
  const bases = record.codes.length
  const first = Math.max(0, Math.min(state.place - LONGEST_SHOWN / 2, bases - LONGEST_SHOWN))
  const end = Math.min(bases, first + LONGEST_SHOWN)
  const strongest = Math.max(...called.map((site) => site.score), 1e-9)
  const changed = []
  for (let base = first; base < end; base++) if (record.codes[base] !== record.original[base]) changed.push(base - first)
  element("part").textContent =
    end - first < bases ? `Letters ${first + 1} to ${end}: those around the chosen one.` : ""
  drawSequence({
    parentElement: element("letters"),
    data: {
      letters: decode(record.codes.subarray(first, end)),
      first: first + 1,
      position: state.place - first,
      changed,
      label: `${count(end - first, "base")} with ${count(called.length, "site")}; arrow keys move`,
      sites: called
        .filter((site) => site.end > first && site.start < end)
        .map((site) => ({
          start: Math.max(0, site.start - first),
          end: Math.min(end, site.end) - first,
          strand: ".",
          strength: clamp(site.score / strongest, 0, 1),
          text: `${site.start + 1}-${site.end}: ${site.score.toFixed(2)}${model.unit}`,
          chosen: site.start === state.site?.start,
        })),
    },
    setTriggerValue(name, value) {
      if (name === "chosen") choose(first + value)
      else change(first + value[0], value[1]).catch(fail)
    },
  })
}

const MOST_ROWS = 500

function showTable(record, called) {
  const strongest = [...called].sort((a, b) => b.score - a.score).slice(0, MOST_ROWS)
  element("rows").replaceChildren(
    ...strongest.map((site) => {
      const row = document.createElement("tr")
      row.setAttribute("aria-selected", site.start === state.site?.start)
      const cells = [site.start + 1, site.end, site.score.toFixed(2), decode(record.codes.subarray(site.start, site.end))]
      cells.forEach((value, column) => {
        const cell = row.insertCell()
        const target = column === 0 ? cell.appendChild(document.createElement("button")) : cell
        target.textContent = value
      })
      row.onclick = () => choose(site.start)
      return row
    }),
  )
  if (called.length > MOST_ROWS) {
    element("count").textContent += `, the ${MOST_ROWS} strongest shown`
  }
}

// ----------------------------------------------------------------------------------------------------------- files

// A cell of a CSV file; what a spreadsheet would take for a formula begins with an apostrophe.
function cell(value) {
  const safe = typeof value === "string" && /^[=+\-@\t]/.test(value) ? `'${value}` : String(value)
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

const nameOf = (record) => [record.name, ...changesOf(record)].join(" ")

function changesOf(record) {
  const places = []
  record.codes.forEach((code, base) => {
    if (code !== record.original[base]) places.push(`${base + 1} ${LETTERS[record.original[base]]}>${LETTERS[code]}`)
  })
  return places
}

function* scoreLines() {
  yield "name,position,base,score\n"
  for (const record of state.records) {
    const name = cell(nameOf(record))
    const lines = []
    record.scores.forEach((score, base) => lines.push(`${name},${base},${LETTERS[record.codes[base]]},${score.toFixed(4)}\n`))
    yield lines.join("")
  }
}

function* siteLines() {
  yield "name,from,to,score,sequence\n"
  for (const record of state.records) {
    for (const site of callSites(record.scores, threshold())) {
      const letters = decode(record.codes.subarray(site.start, site.end))
      yield `${cell(nameOf(record))},${site.start + 1},${site.end},${site.score.toFixed(4)},${letters}\n`
    }
  }
}

function download(lines, kind) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([...lines], { type: "text/csv" }))
  const record = state.records.length === 1 ? state.record.name.replace(/[^\w.-]+/g, "_").slice(0, 60) : "sequences"
  link.download = `${record}_${model.name.replace(/[^\w.-]+/g, "_")}_${kind}.csv`
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

// ----------------------------------------------------------------------------------------------------------- start

async function start() {
  element("name").textContent = document.title
  element("about").textContent = `${model.words}. What you paste stays in this browser.`
  const networks = count(model.members.length, "network")
  element("origin").textContent =
    `Weights ${model.hash}, ${networks}, made with tfbind ${model.version}. ` +
    "In .csv files of scores, positions count from 0; of sites, from 1, both ends included."
  element("threshold").value = Number(model.threshold.toPrecision(4))
  element("score").disabled = true
  say("starting")
  await startWorkers()
  element("score").disabled = false
  say("")
  const run = async () => {
    element("score").disabled = true
    await scoreAll().catch(fail)
    element("score").disabled = false
  }
  element("score").onclick = run
  element("dna").onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !element("score").disabled) run()
  }
  element("example").onclick = () => {
    element("dna").value = EXAMPLE
    run()
  }
  element("record").onchange = (event) => open(state.records[event.target.value])
  element("whole").onclick = () => {
    state.site = null
    show()
  }
  element("undo").onclick = () => undo().catch(fail)
  element("threshold").onchange = () => state.record && show()
  element("scores").onclick = () => download(scoreLines(), "scores")
  element("sites").onclick = () => download(siteLines(), "sites")
  addEventListener("resize", () => state.record && show())
}

start().catch(fail)
