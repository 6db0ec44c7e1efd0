"""What ``streamlit run`` executes.

It stands in a folder of its own: beside a folder called ``pages``, Streamlit would run the first page that is opened by
its address without the sidebar and without the open run.
"""

from __future__ import annotations

from app.main import main

main()
