// Draws curves with Plotly.react: an update changes the data of the chart that is there, so zoom and hidden curves stay.

// Streamlit's own charts bring another build of Plotly, which takes the name window.Plotly when it is loaded; a chart
// must stay with the build that drew it.
function loadPlotly(source) {
  window.tfbindPlotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script")
    script.src = source
    script.onload = () => resolve(window.Plotly)
    script.onerror = () => reject(new Error(source))
    document.head.append(script)
  })
  return window.tfbindPlotly
}

function readTheme(element) {
  const style = getComputedStyle(element)
  const read = (name) => style.getPropertyValue(name).trim()
  return {
    text: read("--st-text-color"),
    font: read("--st-font"),
    line: read("--st-border-color-light"),
    grey: "#8a8f98", // seen on white and on black
    background: read("--st-background-color"),
    colours: read("--st-chart-categorical-colors").split(","),
  }
}

const CROWD = 8 // with more curves than that, a list of all values beside the pointer would hide the chart

const LABEL_HEIGHT = 14 // pixels
const LETTER_WIDTH = 6.2 // of a label
const LEGEND_LETTER_WIDTH = 6.5
const MOST_SHARE = 1 / 3 // of the width, for labels and for a name in the legend
const HOVER_LETTERS = 36 // in a line

const isEmpty = (chart) => chart.curves.every((curve) => curve.x.length === 0)
const isRest = (curve) => curve.colour < 0 && !curve.level
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
const cut = (text, letters) => (text.length > letters ? `${text.slice(0, Math.max(1, letters - 1))}…` : text)

// A value under the pointer: four digits, in e-notation where there would be many more.
function written(value) {
  if (value === null || value === undefined) return ""
  const [number, exponent] = String(Number(value.toPrecision(4))).split("e")
  if (exponent) return `${number}e${Number(exponent)}`
  return Math.abs(value) >= 1e5 ? Number(value.toPrecision(4)).toExponential().replace("+", "") : number
}

// A name on several lines, broken between words.
function wrapped(name) {
  const lines = [""]
  for (const word of name.split(" ")) {
    const line = lines[lines.length - 1]
    if (line && line.length + word.length >= HOVER_LETTERS) lines.push(word)
    else lines[lines.length - 1] = line ? `${line} ${word}` : word
  }
  return lines.map(escaped).join("<br>")
}

// How many first words of these parts are the same, but for the last word of each.
function sharedWords(parts) {
  const split = parts.map((part) => part.split(" "))
  const most = Math.min(...split.map((words) => words.length)) - 1
  let shared = 0
  while (shared < most && split.every((words) => words[shared] === split[0][shared])) shared++
  return shared
}

// Names for a legend. Where one is too long, what all of them begin with is left out, between commas too: the runs of
// a sweep then have their values alone.
function legendNames(names, letters) {
  if (names.every((name) => name.length <= letters)) return names
  const split = names.map((name) => name.split(", "))
  const alike = split.every((parts) => parts.length === split[0].length)
  const rows = alike ? split : names.map((name) => [name])
  const shared = rows[0].map((_, place) => (rows.length > 1 ? sharedWords(rows.map((parts) => parts[place])) : 0))
  const left = (part, place) => part.split(" ").slice(shared[place]).join(" ")
  return rows.map((parts) => cut(parts.map(left).join(", "), letters))
}

// The name of each level line in sight at its right end, moved by so much that none lies on another, in the order of
// the lines. They stand in the margin: what has a place on an axis would widen it.
function labels(chart, theme, axis, width) {
  const bottom = axis?._length
  if (!bottom) return []
  const place = (curve) => axis.d2p(curve.y[0])
  const inSight = (curve) => curve.level && curve.x.length && place(curve) >= 0 && place(curve) <= bottom
  const levels = chart.curves.filter(inSight).sort((a, b) => b.y[0] - a.y[0])
  const moved = levels.map(place)
  for (let i = 1; i < moved.length; i++) moved[i] = Math.max(moved[i], moved[i - 1] + LABEL_HEIGHT)
  for (let i = moved.length - 1, limit = bottom; i >= 0; i--, limit = moved[i + 1] - LABEL_HEIGHT) {
    moved[i] = Math.min(moved[i], limit)
  }
  return levels.map((curve, i) => ({
    text: escaped(cut(curve.name, labelLetters(width))),
    hovertext: wrapped(curve.name),
    showarrow: false,
    xref: "paper",
    x: 1,
    xanchor: "left",
    xshift: 4,
    yref: "paper",
    y: 1,
    yanchor: "middle",
    yshift: -moved[i],
    font: { size: 11, color: theme.grey },
  }))
}

const labelLetters = (width) => Math.floor((width * MOST_SHARE) / LETTER_WIDTH)

function beyond(chart, theme) {
  if (!chart.beyond) return []
  const place = { xref: "paper", x: 1, xanchor: "right", yref: "paper", y: 1, yanchor: "top", showarrow: false }
  return [{ ...place, text: escaped(chart.beyond), font: { size: 11, color: theme.grey } }]
}

// Where the lines lie is known when they are drawn, and changes with zoom, size and hidden curves. Moving the labels
// is a drawing, too: it moves none.
function moveLabels(Plotly, node, chart, theme) {
  if (node.moving || isEmpty(chart)) return
  const wanted = [...beyond(chart, theme), ...labels(chart, theme, node._fullLayout.yaxis, node.clientWidth)]
  const there = node.layout.annotations ?? []
  const differs = (label, i) =>
    label.text !== there[i]?.text || Math.abs((label.yshift ?? 0) - (there[i].yshift ?? 0)) > 0.5
  if (wanted.length === there.length && !wanted.some(differs)) return
  node.moving = true
  const done = () => (node.moving = false)
  Plotly.relayout(node, { annotations: wanted }).then(done, done)
}

// Marks far out of sight are drawn somewhere in sight, since their places are beyond what a browser counts in.
const leaves = (curve, chart) => chart.y_range && curve.y.some((value) => value > chart.y_range[1])

function trace(curve, name, chart, theme) {
  return {
    type: "scatter",
    uid: Array.from(curve.name, (letter) => letter.codePointAt(0)).join("-"), // Plotly puts it into selectors
    name: escaped(name),
    x: curve.x,
    y: curve.y,
    mode: curve.x.length <= 30 && !leaves(curve, chart) ? "lines+markers" : "lines",
    line: {
      color: curve.level ? theme.grey : theme.colours[curve.colour % theme.colours.length],
      dash: curve.dash,
      width: curve.level ? 1 : 2,
    },
    marker: { size: curve.level ? 3 : 6, symbol: curve.dash === "dot" ? "circle-open" : "circle" },
    showlegend: !curve.level,
    meta: { level: curve.level, name: curve.name },
    text: curve.y.map((value) => `${wrapped(curve.name)}: ${written(value)}`),
    hovertemplate: "%{text}<extra></extra>",
  }
}

// All curves without a colour as one line with gaps: many traces are slow, many points are not. Those of a single
// point are marks, since a line would not show them.
function rest(chart, theme) {
  const curves = chart.curves.filter(isRest)
  const long = curves.filter((curve) => curve.x.length > 1)
  const short = curves.filter((curve) => curve.x.length === 1 && !leaves(curve, chart))
  const joined = (chosen, read) => chosen.flatMap((curve) => [...read(curve), null])
  return [
    ["lines", long],
    ["markers", short],
  ]
    .filter(([, chosen]) => chosen.length)
    .map(([mode, chosen]) => ({
      type: "scatter",
      uid: `rest-${mode}`,
      name: `${chosen.length} other ${chosen.length === 1 ? "run" : "runs"}`,
      x: joined(chosen, (curve) => curve.x),
      y: joined(chosen, (curve) => curve.y),
      mode,
      connectgaps: false,
      line: { color: theme.grey, width: 1 },
      marker: { color: theme.grey, size: 4 },
      opacity: 0.7,
      meta: { level: false, names: chosen.map((curve) => curve.name) },
      text: joined(chosen, (curve) => curve.y.map((value) => `${wrapped(curve.name)}: ${written(value)}`)),
      hovertemplate: "%{text}<extra></extra>",
    }))
}

function traces(chart, theme, width) {
  const own = chart.curves.filter((curve) => !isRest(curve))
  const named = own.filter((curve) => !curve.level)
  const letters = Math.floor((width * MOST_SHARE) / LEGEND_LETTER_WIDTH)
  const names = legendNames(
    named.map((curve) => curve.name),
    Math.max(letters, 8),
  )
  const shown = (curve) => (curve.level ? curve.name : names[named.indexOf(curve)])
  return [...rest(chart, theme), ...own.map((curve) => trace(curve, shown(curve), chart, theme))]
}

function layout(chart, empty, height, theme, node) {
  const none = isEmpty(chart)
  const epochs = Math.max(0, ...chart.curves.map((curve) => curve.x[curve.x.length - 1] ?? 0))
  const width = node.clientWidth
  const levels = chart.curves.filter((curve) => curve.level && curve.x.length)
  const longest = Math.min(labelLetters(width), Math.max(0, ...levels.map((curve) => curve.name.length)))
  const axis = { gridcolor: theme.line, linecolor: theme.line, zeroline: false, automargin: true, visible: !none }
  const crowded = chart.curves.length > CROWD || chart.curves.some((curve) => curve.name.length > HOVER_LETTERS)
  return {
    uirevision: "keep",
    height,
    margin: { l: 8, r: 8 + LETTER_WIDTH * longest, t: 28, b: 8 },
    paper_bgcolor: theme.background, // else light letters of a dark page, saved as a picture, stand on nothing
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: theme.font, color: theme.text, size: 13 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.grey, activecolor: theme.text },
    hovermode: crowded ? "closest" : "x unified",
    hoverlabel: { bgcolor: theme.background, bordercolor: theme.line, font: { color: theme.text }, align: "left" },
    showlegend: chart.curves.length > 1 && !none,
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
    annotations: none
      ? [{ text: empty, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }]
      : [...beyond(chart, theme), ...labels(chart, theme, node._fullLayout?.yaxis, width)],
    xaxis: { ...axis, title: { text: "epoch" }, tickformat: "d", ...(epochs <= 10 ? { dtick: 1 } : {}) },
    yaxis: { ...axis, title: { text: chart.y_title }, ...(chart.y_range ? { range: chart.y_range } : {}) },
  }
}

const config = {
  displaylogo: false,
  // Under a finger it would stand there all the time, over the legend.
  displayModeBar: window.matchMedia("(hover: none)").matches ? false : "hover",
  responsive: true,
  modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "autoScale2d"],
  toImageButtonOptions: { format: "svg", filename: "curves" },
}

function place(root, chart) {
  const box = document.createElement("div")
  box.className = "live-chart-box"
  const title = document.createElement("div")
  title.className = "live-chart-title"
  title.textContent = chart.title
  const node = document.createElement("div")
  node.className = "live-chart"
  node.setAttribute("role", "img")
  node.setAttribute("aria-label", chart.alt)
  box.append(title, node)
  root.append(box)
}

// Not before a drawing under way is done: its last steps need what a purge takes away.
function purge(node) {
  const free = () => node.isConnected || window.tfbindPlotly.then((Plotly) => Plotly.purge(node), () => {})
  Promise.resolve(node.drawn).then(free, free)
}

// The width decides how much of a name has room, so a chart that has become wider or narrower is drawn anew, once.
function draw(Plotly, root, node, index) {
  const { charts, empty, height } = root.latest
  const theme = readTheme(root)
  node.drawnWidth = node.clientWidth
  const about = layout(charts[index], empty, height, theme, node)
  node.drawn = Plotly.react(node, traces(charts[index], theme, node.clientWidth), about, config)
  node.afterplot ??= node.on("plotly_afterplot", () => {
    if (node.isConnected && node.clientWidth !== node.drawnWidth) draw(Plotly, root, node, index)
    else moveLabels(Plotly, node, root.latest.charts[index], readTheme(root))
  })
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".live-charts")
  root.latest = data
  for (const chart of data.charts.slice(root.children.length)) place(root, chart)
  loadPlotly(data.source)
    .then((Plotly) => {
      if (!root.isConnected) return
      root.querySelectorAll(".live-chart").forEach((node, index) => draw(Plotly, root, node, index))
    })
    .catch((error) => {
      root.textContent = `The charts could not be drawn (${error.message}). Reload the page.`
    })
  return () => root.querySelectorAll(".live-chart").forEach(purge)
}
