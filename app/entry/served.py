"""What ``streamlit run`` serves: the dashboard, with Streamlit's scripts answered at once."""

from __future__ import annotations

from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

from app.loading import while_serving
from app.quick_files import QuickFiles

app = App(Path(__file__).with_name("dashboard.py"), lifespan=while_serving, middleware=[Middleware(QuickFiles)])
