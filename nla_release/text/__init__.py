"""Text in the forms that cards, reports and the terminal share: numbers, Markdown and templates.

Numbers are formatted in one place. Markdown is escaped, rendered from templates in a sandbox, and
read again as a browser would show it, to find what is hidden.
"""
