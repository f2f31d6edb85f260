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
const LETTER_WIDTH = 6.2

const isLevel = (curve) => curve.colour < 0 && curve.x.length > 0

// The name of each level line in sight at its right end, moved by so much that none lies on another, in the order of
// the lines.
function labels(chart, theme, axis) {
  const place = (curve) => axis?.d2p(curve.y[0]) ?? 0
  const bottom = axis?._length ?? Infinity
  const inSight = (curve) => isLevel(curve) && place(curve) >= 0 && place(curve) <= bottom
  const levels = chart.curves.filter(inSight).sort((a, b) => b.y[0] - a.y[0])
  const places = levels.map(place)
  const moved = [...places]
  for (let i = 1; i < moved.length; i++) moved[i] = Math.max(moved[i], moved[i - 1] + LABEL_HEIGHT)
  for (let i = moved.length - 1, limit = bottom; i >= 0; i--, limit = moved[i + 1] - LABEL_HEIGHT) {
    moved[i] = Math.min(moved[i], limit)
  }
  return levels.map((curve, i) => ({
    text: curve.name,
    showarrow: false,
    xref: "paper",
    x: 1,
    xanchor: "left",
    xshift: 4,
    y: curve.y[0],
    yshift: places[i] - moved[i],
    font: { size: 11, color: theme.grey },
  }))
}

// Where the lines lie is known when they are drawn, and changes with zoom, size and hidden curves.
function moveLabels(Plotly, node, chart, theme) {
  const wanted = labels(chart, theme, node._fullLayout.yaxis)
  const there = node.layout.annotations ?? []
  const changed = (label, i) => label.text !== there[i]?.text || Math.abs(label.yshift - there[i].yshift) > 0.5
  if (wanted.some(changed) || (wanted.length && wanted.length < there.length)) {
    Plotly.relayout(node, { annotations: wanted })
  }
}

function trace(curve, theme) {
  const grey = curve.colour < 0
  return {
    type: "scatter",
    uid: Array.from(curve.name, (letter) => letter.codePointAt(0)).join("-"), // Plotly puts it into selectors
    name: curve.name,
    x: curve.x,
    y: curve.y,
    mode: curve.x.length <= 30 ? "lines+markers" : "lines",
    line: {
      color: grey ? theme.grey : theme.colours[curve.colour % theme.colours.length],
      dash: curve.dash,
      width: grey ? 1 : 2,
    },
    marker: { size: grey ? 3 : 6, symbol: curve.dash === "dot" ? "circle-open" : "circle" },
    showlegend: !grey,
    hovertemplate: "%{y:.4g}",
  }
}

function layout(chart, empty, height, theme, yaxis) {
  const none = chart.curves.every((curve) => curve.x.length === 0)
  const epochs = Math.max(0, ...chart.curves.flatMap((curve) => curve.x))
  const longest = Math.max(0, ...chart.curves.filter(isLevel).map((curve) => curve.name.length))
  const axis = { gridcolor: theme.line, linecolor: theme.line, zeroline: false, automargin: true, visible: !none }
  return {
    uirevision: "keep",
    height,
    margin: { l: 8, r: 8 + LETTER_WIDTH * longest, t: 28, b: 8 },
    paper_bgcolor: theme.background, // else light letters of a dark page, saved as a picture, stand on nothing
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: theme.font, color: theme.text, size: 13 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.grey, activecolor: theme.text },
    hovermode: chart.curves.length > CROWD ? "closest" : "x unified",
    hoverlabel: { bgcolor: theme.background, bordercolor: theme.line, font: { color: theme.text } },
    showlegend: chart.curves.length > 1 && !none,
    legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" },
    annotations: none
      ? [{ text: empty, showarrow: false, xref: "paper", yref: "paper", x: 0.5, y: 0.5 }]
      : labels(chart, theme, yaxis),
    xaxis: { ...axis, title: { text: "epoch" }, tickformat: "d", ...(epochs <= 10 ? { dtick: 1 } : {}) },
    yaxis: { ...axis, title: { text: chart.y_title } },
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

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".live-charts")
  root.latest = data
  for (const chart of data.charts.slice(root.children.length)) place(root, chart)
  loadPlotly(data.source)
    .then((Plotly) => {
      if (!root.isConnected) return
      const { charts, empty, height } = root.latest
      const theme = readTheme(root)
      root.querySelectorAll(".live-chart").forEach((node, index) => {
        const traces = charts[index].curves.map((curve) => trace(curve, theme))
        const about = layout(charts[index], empty, height, theme, node._fullLayout?.yaxis)
        node.drawn = Plotly.react(node, traces, about, config)
        node.afterplot ??= node.on("plotly_afterplot", () => {
          const { charts } = root.latest
          moveLabels(Plotly, node, charts[index], readTheme(root))
        })
      })
    })
    .catch((error) => {
      root.textContent = `The charts could not be drawn (${error.message}). Reload the page.`
    })
  return () => root.querySelectorAll(".live-chart").forEach(purge)
}
