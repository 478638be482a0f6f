/** The look of the player, in the colours of the page around it (notebook/page.ts). */
export const PLAYER_STYLE = `.player { margin: 1.6rem 0; padding: 0.9rem 1.1rem 1rem; border: 1px solid var(--line); border-radius: 8px; font-size: 0.9375rem; }
.player p { margin: 0.5rem 0; max-width: none; }
.player p:empty, .player [hidden] { display: none; }
.player small { color: var(--faint); font-size: 0.8125rem; }
.player code { background: none; padding: 0; overflow-wrap: anywhere; }
.player .player-title { margin-top: 0; }
.player .was { color: var(--faint); }
.outcome { font-size: 0.8125rem; letter-spacing: 0.02em; }
.outcome.bad, .player .fault { color: var(--alarm); }
.outcome.fine { color: var(--string); }
.player-strip svg { display: block; width: calc(100% - 16px); height: 2.25rem; margin: 0 8px; fill: var(--faint); }
.player-strip .fault { fill: var(--alarm); }
.player-strip .zoomed { fill: var(--fresh); }
.player-bar { display: flex; flex-wrap: wrap; align-items: center; gap: 0.3rem 1rem; }
.player-bar input { flex: 1 0 100%; margin: 0.1rem 0; height: 1.5rem; accent-color: var(--link); cursor: pointer; }
.player-buttons { display: flex; align-items: center; gap: 0.4rem; font-variant-numeric: tabular-nums; }
.player-buttons output { margin-left: 0.6rem; color: var(--faint); }
.player button, .player select, .player input[type="number"] {
  font: inherit; font-size: 0.875rem; color: var(--ink); background: var(--shade); border: 1px solid var(--edge); border-radius: 5px;
  padding: 0.25rem 0.7rem; min-height: 2rem;
}
.player button { cursor: pointer; }
.player button:hover:not(:disabled) { border-color: var(--link); color: var(--link); }
.player button:disabled { cursor: default; color: var(--faint); border-color: var(--line); background: none; }
.player [data-do="play"] { min-width: 4.6rem; }
.player :focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.player-made { min-height: 3.2em; overflow-wrap: anywhere; }
.player .changes { color: var(--name); white-space: nowrap; }
.player-state { display: grid; grid-template-columns: 1fr; gap: 0.4rem 1.6rem; }
@media (min-width: 48rem) { .player-state { grid-template-columns: 11fr 9fr; } }
.player table { display: table; width: 100%; font-size: 0.875rem; margin: 0; }
.player caption { text-align: left; color: var(--faint); font-size: 0.8125rem; padding: 0.2rem 0; }
.player th, .player td { padding: 0.22rem 0.6rem 0.22rem 0; overflow-wrap: anywhere; line-height: 1.45; }
.player th { font-weight: 500; white-space: nowrap; }
.player-page th { color: var(--faint); width: 7.2em; }
.player td > small { display: block; }
.player tr.moved th { box-shadow: -3px 0 0 var(--paper), -6px 0 0 var(--link); }
.player [data-on] { padding: 0.25rem 0.35rem; font-size: 0.75rem; vertical-align: top; }
.player tr.new { background: var(--fresh); }
.player tr.new th, .player .new { color: var(--ink); }
.chip { display: inline-block; border: 1px solid var(--edge); border-radius: 4px; padding: 0 0.4em; font-size: 0.8125rem; white-space: nowrap; }
.player .none { color: var(--faint); }
.swatch { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; border: 1px solid var(--edge); vertical-align: -0.08em; margin-right: 0.2em; }
.player .pages { display: flex; flex-wrap: wrap; gap: 0.3rem; }
.player .pages button { padding: 0.1rem 0.45rem; }
.player .pages [aria-pressed="true"] { border-color: var(--link); box-shadow: inset 0 0 0 1px var(--link); }
.player summary { cursor: pointer; color: var(--link); padding: 0.25rem 0; font-size: 0.875rem; }
.player-faults ul { list-style: none; margin: 0.5rem 0; padding: 0; font-size: 0.875rem; overflow-wrap: anywhere; }
.player-own { margin: 0.5rem 0; }
.player-own p { padding: 0.5rem 0.8rem; min-height: 2.6rem; background: var(--fresh); border-radius: 5px; }
.player-take { margin: 0.4rem 0; }
.player-choice p { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; }
.player-choice select, .player-choice input { margin-right: 0.8rem; }
.player-choice select { max-width: 16rem; }
.player-choice input { width: 8rem; }
.player-replay { color: var(--faint); font-size: 0.8125rem; overflow-wrap: anywhere; }
.player-word { margin: 1rem 0; padding: 0.2rem 0.8rem; border-left: 3px solid var(--edge); overflow-wrap: anywhere; }
.guplab-figure[data-stale] { filter: grayscale(1) opacity(0.6); }
@media print { .guplab-player { display: none; } }
`;
