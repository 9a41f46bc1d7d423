"""The paper's Figs. 4 to 7 regenerated as self-contained HTML: one file a command."""
