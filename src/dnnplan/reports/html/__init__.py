"""Reports of stores and plans as one HTML file that works offline, as Markdown, and as CSV."""
