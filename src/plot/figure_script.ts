/**
 * The script of HTML figures: it puts a plotly plot in the place of each picture, draws more detail where a reader zooms
 * in, and links the figures of a run. It goes where plotly goes, once for a page: a figure only says that it waits
 * (html.ts), and who brings plotly brings LIVE_FIGURES too, which draws those that wait and those that come later.
 *
 * Figures of one run move together by two events on `document`, which anything else on the page may send and hear too:
 *
 * - `guplab-time`, detail `{ run, x, source }`: the pointer is at x (in the unit of the x axis) of a figure of the run.
 *   The others draw an upright line there.
 * - `guplab-range`, detail `{ run, range, source }`: a figure shows this range of x, or all of it (null). The others
 *   follow.
 *
 * `run` is the replay line, or the title of a recording that has none; `source` is the element that sent it, or null.
 * Figures send along `axis`, the title of their x axis: those whose axis is another do not follow.
 */
import { WIDTH } from "./figure.js";
import { DIGITS } from "./pack.js";

/** Into how many stretches a zoomed range, and as much to both sides, is cut: a third of them is seen. */
const STRETCHES = 900;

/** Without the comments and the indentation, which no page need carry. */
const compact = (script: string): string =>
  script
    .replace(/^\s*\/\/.*$/gm, "")
    .replace(/\n\s*/g, "\n")
    .trim();

/** Gives a function of a figure's name and of what toHtml packs for it. Plain JavaScript: browsers read it as it is. */
export const FIGURE_SCRIPT = compact(`
function () {
  var digits = "${DIGITS}";
  function whole(text) {
    var out = [], value = 0, shift = 0;
    for (var i = 0; i < text.length; i++) {
      var digit = digits.indexOf(text[i]);
      value += (digit & 31) << shift;
      shift += 5;
      if (digit < 32) {
        out.push(value & 1 ? -(value >>> 1) : value >>> 1);
        value = shift = 0;
      }
    }
    return out;
  }
  function column(packed) {
    var place = 0;
    return whole(packed.differences).map(function (difference) {
      place += difference;
      return packed.from + packed.step * place;
    });
  }
  function rows(text, columns) {
    var pairs = whole(text), cells = [], out = [];
    for (var i = 0; i < pairs.length; i += 2)
      for (var n = pairs[i + 1]; n > 0; n--) cells.push(pairs[i] ? pairs[i] - 1 : null);
    for (var at = 0; at < cells.length; at += columns) out.push(cells.slice(at, at + columns));
    return out;
  }
  function named(trace) {
    var names = trace.meta.states.map(function (state) { return state.name; });
    var row = trace.meta.rows, named = trace.columns;
    return trace.z.map(function (cells, r) {
      var before = row ? row[r] + ": " : "", all = names.map(function (name) { return before + name; });
      return cells.map(function (cell, c) {
        return cell === null ? "" : cell && named && named[c] ? before + named[c] : all[cell];
      });
    });
  }
  // First index at which a sorted column is greater than x.
  function after(values, x) {
    var low = 0, high = values.length;
    while (low < high) {
      var middle = (low + high) >> 1;
      if (values[middle] <= x) low = middle + 1;
      else high = middle;
    }
    return low;
  }
  // Of some points of lines those to draw: first, last, lowest and highest of each of a number of equal stretches.
  function thin(x, lines, from, to, most) {
    var kept = [];
    if (to - from <= most) {
      for (var i = from; i < to; i++) kept.push(i);
      return kept;
    }
    var buckets = Math.floor(most / (2 + 2 * lines.length)), width = (x[to - 1] - x[from]) / buckets || 1;
    for (var start = from; start < to; ) {
      var until = x[from] + width * (Math.floor((x[start] - x[from]) / width) + 1), end = start + 1, own = {};
      while (end < to && x[end] < until) end++;
      own[start] = own[end - 1] = 1;
      lines.forEach(function (y) {
        var low = start, high = start;
        for (var i = start; i < end; i++) {
          if (y[i] < y[low]) low = i;
          if (y[i] > y[high]) high = i;
        }
        own[low] = own[high] = 1;
      });
      for (var i = start; i < end; i++) if (own[i]) kept.push(i);
      start = end;
    }
    return kept;
  }
  // What a figure shows of a range of x: detail in it and as far again to both sides, what it had before beyond.
  function zoom(plot, spec, range) {
    var details = spec.details, indexes = [], update = { x: [], y: [], z: [], text: [] };
    var wide = range ? range[1] - range[0] : 0;
    var near = range && wide < (spec.range[1] - spec.range[0]) * 0.7 && [range[0] - wide, range[1] + wide];
    function set(trace, x, y, z, text) {
      indexes.push(trace);
      update.x.push(x);
      update.y.push(y);
      update.z.push(z);
      update.text.push(text);
    }
    details.lines.forEach(function (group) {
      group.x = group.x.differences === undefined ? group.x : column(group.x);
      group.of.forEach(function (line) {
        if (line.y.differences !== undefined) line.y = column(line.y);
        if (line.shown && line.shown.differences !== undefined) line.shown = column(line.shown);
      });
      var x = group.x, lines = group.of.map(function (line) { return line.y; });
      var kept = near && thin(x, lines, Math.max(0, after(x, near[0]) - 1), Math.min(x.length, after(x, near[1]) + 1), ${STRETCHES} * (2 + 2 * lines.length));
      group.of.forEach(function (line) {
        var before = spec.data[line.trace];
        if (!near) return set(line.trace, before.x, before.y, null, before.text);
        var left = after(before.x, x[kept[0]] - 1e-9), right = after(before.x, x[kept[kept.length - 1]]);
        function joined(coarse, fine) {
          return coarse && coarse.slice(0, left).concat(kept.map(fine), coarse.slice(right));
        }
        var shown = line.shown || line.y;
        set(
          line.trace,
          joined(before.x, function (i) { return x[i]; }),
          joined(before.y, function (i) { return line.y[i]; }),
          null,
          joined(before.text, function (i) { return String(shown[i]); })
        );
      });
    });
    var maps = {};
    details.cells.forEach(function (level) { (maps[level.trace] = maps[level.trace] || []).push(level); });
    Object.keys(maps).forEach(function (key) {
      var trace = Number(key), before = spec.data[trace], map = before;
      if (near) {
        // The coarsest level with a column for each two pixels or so.
        var level = maps[key].find(function (each) {
          if (each.x.differences !== undefined) {
            each.x = column(each.x);
            each.z = rows(each.z, each.x.length - 1);
            each.columns = each.columns && whole(each.columns.of).map(function (name) { return each.columns.names[name - 1]; });
          }
          return after(each.x, range[1]) - after(each.x, range[0]) >= 400;
        }) || maps[key][maps[key].length - 1];
        var from = Math.max(0, after(level.x, near[0]) - 1), to = Math.min(level.x.length - 1, after(level.x, near[1]));
        map = {
          x: level.x.slice(from, to + 1),
          z: level.z.map(function (row) { return row.slice(from, to); }),
          columns: level.columns && level.columns.slice(from, to),
          meta: before.meta
        };
      }
      set(trace, map.x, before.y, map.z, before.hoverinfo ? null : named(map));
    });
    if (indexes.length > 0) window.Plotly.restyle(plot, update, indexes);
  }
  function send(name, detail) {
    document.dispatchEvent(new CustomEvent(name, { detail: detail }));
  }
  // An upright line over a figure, plot or picture, at x.
  function cursor(figure, plot, spec, x) {
    var place = figure.querySelector(".guplab-plot"), drawn = plot || place.querySelector("img");
    var line = place.querySelector(".guplab-cursor") || place.appendChild(document.createElement("div"));
    var range = plot ? plot.layout.xaxis.range : spec.range, margin = spec.layout.margin;
    var scale = plot ? 1 : drawn.clientWidth / ${WIDTH};
    var inner = drawn.clientWidth - scale * (margin.l + margin.r);
    var at = (x - range[0]) / (range[1] - range[0]);
    line.className = "guplab-cursor";
    line.style.cssText = "position:absolute;width:1px;background:#222;pointer-events:none;top:" + scale * margin.t + "px;height:" +
      scale * (spec.layout.height - margin.t - margin.b) + "px;left:" + (scale * margin.l + at * inner) + "px";
    line.hidden = !(at >= 0 && at <= 1);
  }
  function link(figure, spec, state) {
    var run = spec.run, axis = spec.layout.xaxis.title.text;
    function hear(name, then) {
      function heard(event) {
        var detail = event.detail;
        if (!figure.isConnected) return document.removeEventListener(name, heard);
        if (detail.run === run && detail.source !== figure && (!detail.axis || detail.axis === axis)) then(detail);
      }
      document.addEventListener(name, heard);
    }
    hear("guplab-time", function (detail) { cursor(figure, state.plot, spec, detail.x); });
    hear("guplab-range", function (detail) {
      if (!state.plot) return;
      state.following = true;
      window.Plotly.relayout(state.plot, { "xaxis.range": (detail.range || spec.range).slice() }).then(function () {
        state.following = false;
      });
    });
    state.tell = function (name, detail) {
      detail.run = run;
      detail.source = figure;
      detail.axis = axis;
      send(name, detail);
    };
  }
  function interactive(figure, spec, state) {
    var place = figure.querySelector(".guplab-plot"), plot = document.createElement("div");
    place.appendChild(plot);
    var data = spec.data.map(function (trace) { return Object.assign({}, trace); });
    var layout = JSON.parse(JSON.stringify(spec.layout));
    window.Plotly.newPlot(plot, data, layout, { responsive: true, displaylogo: false }).then(function () {
      place.querySelector("img").style.display = "none";
      state.plot = plot;
      if (!spec.timed) return;
      plot.on("plotly_hover", function (event) {
        state.tell("guplab-time", { x: event.xvals && event.xvals.length ? event.xvals[0] : event.points[0].x });
      });
      plot.on("plotly_relayout", function (change) {
        var now = plot.layout.xaxis.range.slice();
        if (!Object.keys(change).some(function (key) { return key.indexOf("xaxis") === 0; })) return;
        var all = now[0] <= spec.range[0] && now[1] >= spec.range[1];
        if (spec.details) zoom(plot, spec, all ? null : now);
        if (!state.following) state.tell("guplab-range", { range: all ? null : now });
      });
    }, function () { place.removeChild(plot); });
  }
  return function (key, spec) {
    spec.data.forEach(function (trace) {
      if (typeof trace.z === "string") trace.z = rows(trace.z, trace.x.length - 1);
      if (typeof trace.x === "number") trace.x = spec.data[trace.x].x;
      if (trace.text === "y") trace.text = trace.y.map(String);
      if (trace.z && !trace.text && !trace.hoverinfo) trace.text = named(trace);
    });
    spec.range = spec.layout.xaxis.range.slice();
    document.querySelectorAll('[data-guplab="' + key + '"]').forEach(function (figure) {
      if (figure.getAttribute("data-drawn")) return;
      figure.setAttribute("data-drawn", "yes");
      var state = {};
      if (spec.timed) link(figure, spec, state);
      interactive(figure, spec, state);
    });
  };
}
`);

/**
 * Where figures wait for plotly: an array on `window`, then an object with the same `push`. The number is that of what
 * toHtml packs and the script unpacks: a change that the other does not understand takes the next one, because a page may
 * hold figures of several versions of guplab.
 */
export const WAITING = "guplabFigures1";

/**
 * A script that makes the figures of a page live (toHtml), those that come later too. A page runs it when it has
 * `window.Plotly`, once or more often.
 *
 * @example LIVE_FIGURES.includes("window.Plotly.newPlot") // true
 */
export const LIVE_FIGURES = `(function () {
var waiting = window.${WAITING} || [];
if (!Array.isArray(waiting)) return;
var draw = (${FIGURE_SCRIPT})();
window.${WAITING} = { push: function (figure) { draw(figure[0], figure[1]); } };
waiting.forEach(window.${WAITING}.push);
})();`;
