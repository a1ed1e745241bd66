"""Speech from Django, in one file; in a project the pool stands in a module of its own, or in views.py.

gunicorn --workers 4 --threads 8 --preload django_app:application
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from cartesia_sync import Cartesia

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY=os.environ.get("SECRET_KEY", "change me"))
client = Cartesia()  # the key is in CARTESIA_API_KEY
pool = client.tts.pool(
    voice="6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
    output_format={"container": "raw", "encoding": "pcm_s16le", "sample_rate": 16000},
)  # opens nothing; each worker has connections of its own from its first request on


def whole(request: HttpRequest) -> HttpResponse:
    return HttpResponse(pool.say(request.GET["text"]).audio, content_type="audio/pcm")


urlpatterns = [path("whole", whole)]
application = get_wsgi_application()
